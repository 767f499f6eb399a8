import type { Actor } from '../../access/tenancy/auditLog.ts';
import type { TenantContext } from '../../access/tenancy/tenantContext.ts';
import { type ErrorCode, type EventFault, TidemarkError } from '../../model/errors.ts';
import type { UsageEvent } from '../../model/usageEvent.ts';

/** What becomes of events: they count no more, they count again, or another version counts. */
export type EventCorrectionKind = 'void' | 'restore' | 'amend';

/** The same, and what becomes of those of a backfill: they count, or no more. */
export type CorrectionKind = EventCorrectionKind | 'backfill' | 'revert';

/** An event that is to be corrected, and where the request names it. */
export interface CorrectedEvent {
  /** As the client has it. */
  clientId: string;
  /** When it happened (µs), as whoever asks knows. Null: it is looked for. */
  tsMicros: number | null;
  /** What takes its place. */
  version?: UsageEvent;
  /** Of its fault: the place in the request, and the pointer to it. */
  index: number;
  pointer: string;
}

export interface CorrectionRequest {
  kind: EventCorrectionKind;
  context: TenantContext;
  actor: Actor;
  reason: string;
  events: CorrectedEvent[];
  /** Tell what would become of the events, and change nothing. Left out: no. */
  dryRun?: boolean;
}

/** What became of a correction. */
export interface CorrectionResult {
  /** Null: none of the ids is known, or it was a dry run, and nothing was changed. */
  id: string | null;
  /** When it began to count. Null likewise. */
  at: string | null;
  /** Events changed; of a dry run: that would be. */
  corrected: number;
  /** Windows of a customer changed: each has one more revision. Of a dry run 0. */
  windows: number;
  /** Ids of which no event is known, as the request has them. */
  unknown: string[];
}

/** What is wrong with the events of a correction. */
export type CorrectionFault =
  | 'event_voided'
  | 'event_not_voided'
  | 'event_counted_again'
  | 'event_ambiguous'
  | 'event_repeated';

const MESSAGES: Record<CorrectionFault, string> = {
  event_voided: 'is void already; restore it first',
  event_not_voided: 'is not void: it counts',
  event_counted_again: 'has been posted and counted again since it was void',
  event_ambiguous:
    'is what several events of different formats are called: tell the timestamp of the one that is meant',
  event_repeated: 'is named twice',
};

export function faultOf({ index, pointer }: CorrectedEvent, code: CorrectionFault): EventFault {
  return { index, pointer, code, message: MESSAGES[code] };
}

/** @throws {TidemarkError} the code of the first fault, with all of them. */
export function refuse(faults: readonly EventFault[]): never {
  const sorted = [...faults].sort((a, b) => a.index - b.index);
  throw new TidemarkError(
    sorted[0]!.code as Extract<ErrorCode, CorrectionFault>,
    `${sorted.length} of the events cannot be corrected like this; nothing was changed`,
    { errors: sorted },
  );
}
