import { setTimeout as sleep } from 'node:timers/promises';
import { Batcher, type BatcherOptions } from '../../src/intake/ingest/batcher.ts';
import { TidemarkError } from '../../src/model/errors.ts';

export interface Item {
  name: string;
  rows: number;
  bytes: number;
  flow: string;
}

export const item = (name: string, rows = 1, bytes = 10, flow = 'one'): Item => ({ name, rows, bytes, flow });

export interface HeldBatch {
  names: string[];
  lane: number;
  /** Lets it go. Default: everything is written. */
  done(results?: (string | Error)[]): void;
}

/** A write that waits to be let go, and remembers what it was given. */
export function heldWrites() {
  const batches: HeldBatch[] = [];
  const write = (items: Item[], lane: number) =>
    new Promise<(string | Error)[]>((resolve) => {
      const names = items.map(({ name }) => name);
      batches.push({ names, lane, done: (results) => resolve(results ?? names.map((name) => `${name}!`)) });
    });
  return { batches, write };
}

export function batcher(options: Partial<BatcherOptions<Item, string>>): Batcher<Item, string> {
  return new Batcher<Item, string>({
    lanes: 1,
    batchRows: 10,
    batchBytes: 1_000,
    sharedBatchRows: 10,
    laneRows: 1,
    queueRows: 100,
    queueBytes: 10_000,
    deadlineMs: 5_000,
    write: async (items) => items.map(({ name }) => `${name}!`),
    ...options,
  });
}

/** A turn of the event loop, after which what can run runs. */
export async function turn(): Promise<void> {
  await sleep(5);
  await new Promise(setImmediate); // on a busy machine the time may be up before a turn has passed
}

/** Lets go whatever is written until nothing is left. */
export async function drain(queue: Batcher<Item, string>, batches: HeldBatch[]): Promise<void> {
  const closing = queue.close();
  while (queue.depth.rows > 0 || queue.depth.running > 0) {
    for (const batch of batches) batch.done();
    await turn();
  }
  await closing;
}

export const codeOf = (promise: Promise<unknown>) =>
  promise.then(
    () => 'written',
    (error) => (error instanceof TidemarkError ? error.code : String(error)),
  );

/** What `add` throws at once. */
export function refusal(queue: Batcher<Item, string>, added: Item): TidemarkError {
  try {
    queue.add(added).catch(() => undefined);
  } catch (error) {
    return error as TidemarkError;
  }
  throw new Error('it was taken');
}
