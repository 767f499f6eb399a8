import { BruteForce, type ClosedBackfill, type ModelScope } from './bruteForce.ts';
import type { ClientEvent } from './traffic.ts';

/** A backfill with what was staged. */
export interface PastBackfill extends ModelScope {
  replaces: boolean;
  staged: ClientEvent[];
}

/** Something that was done to events, and since when it counts, in µs. */
export type Happening = { at: number } & (
  | { do: 'add'; event: ClientEvent }
  | { do: 'void' | 'restore'; ids: string[] }
  | { do: 'amend'; versions: ClientEvent[] }
  | { do: 'close'; backfill: PastBackfill }
  | { do: 'revert'; backfill: PastBackfill }
);

/** What makes the difference between two moments. */
export interface ModelChange {
  eventId: string;
  timestamp: string;
  customerId: string;
  counts: boolean;
}

/** What has been done to a tenant's events, to be told as of any moment. */
export class PastModel {
  private readonly happenings: Happening[] = [];

  note(happening: Happening): void {
    this.happenings.push(happening);
    this.happenings.sort((a, b) => a.at - b.at);
  }

  /** The summaries as they were at a moment, in µs. */
  asOf(micros: number): BruteForce {
    const model = new BruteForce();
    const closed = new Map<PastBackfill, ClosedBackfill>();
    for (const happening of this.happenings) {
      if (happening.at > micros) break;
      if (happening.do === 'add') model.add([happening.event]);
      else if (happening.do === 'amend') model.amend(happening.versions);
      else if (happening.do === 'close') {
        const { backfill } = happening;
        closed.set(backfill, model.close(backfill.staged, backfill, backfill.replaces));
      } else if (happening.do === 'revert') model.revert(closed.get(happening.backfill)!);
      else model[happening.do](happening.ids);
    }
    return model;
  }

  /** What makes the difference between two moments (µs), of events in [from, to) ms. */
  changes(since: number, until: number, from: number, to: number): ModelChange[] {
    return changesBetween(this.asOf(since), this.asOf(until), from, to);
  }
}

/** Versions of events that happened in [from, to) ms and count in one of two models alone, in the order of `byTime`. */
export function changesBetween(
  before: Pick<BruteForce, 'events'>,
  after: Pick<BruteForce, 'events'>,
  from: number,
  to: number,
): ModelChange[] {
  const ids = new Set([...before.events.keys(), ...after.events.keys()]);
  const changes = [...ids].flatMap((id) => {
    const [was, is] = [before.events.get(id), after.events.get(id)];
    if (was === is) return [];
    return [...(was ? [changeOf(was, false)] : []), ...(is ? [changeOf(is, true)] : [])];
  });
  return changes
    .filter(({ timestamp }) => Date.parse(timestamp) >= from && Date.parse(timestamp) < to)
    .sort(byTime);
}

/** An order to compare them in, which tells neither versions nor microseconds apart. */
export function byTime(a: ModelChange, b: ModelChange): number {
  return (
    Date.parse(a.timestamp) - Date.parse(b.timestamp) ||
    (a.eventId < b.eventId ? -1 : a.eventId > b.eventId ? 1 : Number(a.counts) - Number(b.counts))
  );
}

/** @param event as it was posted, or as it is listed. */
export function changeOf(
  { eventId, timestamp, customerId }: Pick<ClientEvent, 'eventId' | 'timestamp' | 'customerId'>,
  counts: boolean,
): ModelChange {
  return { eventId, timestamp: new Date(timestamp).toISOString(), customerId, counts };
}
