import type {
  CorrectedEvent,
  CorrectionFault,
  CorrectionRequest,
  CorrectionResult,
} from '../../../intake/corrections/correction.ts';
import { TidemarkError } from '../../../model/errors.ts';

/** An event that is to be corrected. */
export type WantedCorrection = Pick<CorrectedEvent, 'clientId' | 'tsMicros' | 'version'>;

/**
 * What became of one: `done`; `unknown`, there is no such event; `refused`, with why; `untouched`, since another of its batch
 * was refused, or it was not its turn any more.
 */
export type Outcome =
  | { outcome: 'done'; correctionId: string | null }
  | { outcome: 'refused'; code: CorrectionFault; message: string }
  | { outcome: 'unknown' | 'untouched' };

/** A transaction that has changed something. */
export type DoneCorrection = Pick<CorrectionResult, 'id' | 'at' | 'corrected' | 'windows'>;

export interface Corrected {
  /** In the order of what was wanted. */
  outcomes: Outcome[];
  corrections: DoneCorrection[];
  /** What ended it before its end. */
  failure: TidemarkError | null;
}

export interface BatchOptions {
  correct(request: CorrectionRequest): Promise<CorrectionResult>;
  request: Omit<CorrectionRequest, 'events'>;
  /** Events in a transaction, at most. */
  most: number;
  /** Go on without those that are refused; else the first batch with one of them is the last. */
  skip: boolean;
  /** No batch is begun any more. */
  signal: AbortSignal;
  /** Told of how many have had their turn. */
  onProgress(events: number): void;
}

/** Corrects events, so many in a transaction, each of which is done wholly or not at all. */
export async function correctInBatches(
  wanted: readonly WantedCorrection[],
  { correct, request, most, skip, signal, onProgress }: BatchOptions,
): Promise<Corrected> {
  const outcomes: Outcome[] = wanted.map(() => ({ outcome: 'untouched' }));
  const corrections: DoneCorrection[] = [];
  let past = 0;
  for (const batch of batchesOf(wanted, most)) {
    let places = batch;
    for (;;) {
      if (signal.aborted) return { outcomes, corrections, failure: null };
      const events = places.map(
        (index): CorrectedEvent => ({ ...wanted[index]!, index, pointer: '/eventId' }),
      );
      try {
        const result = await correct({ ...request, events });
        const unknown = new Set(result.unknown);
        for (const { index, clientId } of events) {
          outcomes[index] = unknown.has(clientId)
            ? { outcome: 'unknown' }
            : { outcome: 'done', correctionId: result.id };
        }
        if (result.corrected > 0) corrections.push(result);
        break;
      } catch (error) {
        if (!(error instanceof TidemarkError)) throw error;
        for (const { index, code, message } of error.errors ?? []) {
          outcomes[index] = { outcome: 'refused', code: code as CorrectionFault, message };
        }
        if (!error.errors || !skip) return { outcomes, corrections, failure: error };
        places = places.filter((index) => outcomes[index]!.outcome !== 'refused');
        if (places.length === 0) break;
      }
    }
    past += batch.length;
    onProgress(past);
  }
  return { outcomes, corrections, failure: null };
}

/** Places of what is wanted, none of a batch called as another: what is unknown is told by what it is called. */
function batchesOf(wanted: readonly WantedCorrection[], most: number): number[][] {
  const batches: number[][] = [];
  let left = wanted.map((_, index) => index);
  while (left.length > 0) {
    const names = new Set<string>();
    const later: number[] = [];
    let batch: number[] = [];
    for (const index of left) {
      const { clientId } = wanted[index]!;
      if (names.has(clientId)) {
        later.push(index);
        continue;
      }
      names.add(clientId);
      batch.push(index);
      if (batch.length === most) {
        batches.push(batch);
        batch = [];
      }
    }
    if (batch.length > 0) batches.push(batch);
    left = later;
  }
  return batches;
}
