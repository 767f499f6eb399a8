import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import type { UsageEvent } from '../../src/model/usageEvent.ts';
import { chunksDue, compressChunk } from '../../src/sums/retention/compressChunks.ts';
import { copyAll, receiveAsHappened, setBack } from '../load/history.ts';
import { makeEvent, seededRandom } from '../load/workload.ts';
import { interruption } from '../support/interruption.ts';
import { type BenchDatabase, type BenchServer, withClient } from '../support/servers.ts';
import { startTidemark, type Tidemark } from './tidemark.ts';
import { settle } from './windowQueries.ts';

const PACK_MS = 1_800_000;
const AGAIN_MS = 500;

/** Stored events, [from, to) in ms since the epoch, and a service that has closed, refreshed and packed what is due. */
export interface StoredHistory {
  database: BenchDatabase;
  service: Tidemark;
  events: number;
  from: number;
  to: number;
  /** Stops and drops all. @returns what was wrong. */
  end(): Promise<string[]>;
}

export interface HistoryOptions {
  events: number;
  from: number;
  to: number;
  /** Changes an event, which is one of the usual ones with the dimensions of its customer. @param i its number. */
  change?(event: UsageEvent, i: number): UsageEvent;
  /** Events of a transaction, at most. Left out: many. */
  rowsPerCopy?: number;
  /** They were received when they happened. Left out: now. */
  receivedAsHappened?: boolean;
}

/** Stores events evenly over a time by COPY, and lets a service catch up with them. */
export async function storeHistory(
  server: BenchServer,
  { events, from, to, change, rowsPerCopy, receivedAsHappened }: HistoryOptions,
  folder: string,
): Promise<StoredHistory> {
  const database = await server.createDatabase('migrated');
  try {
    await setBack(database.url, from);
    const make = (first: number, rows: number) => {
      const random = seededRandom(first + 1);
      return Array.from({ length: rows }, (_, i) => {
        const tsMicros = Math.floor((from + ((first + i) / events) * (to - from)) * 1_000);
        const event = makeEvent(random, randomUUID(), tsMicros, undefined, 'of customers');
        return change ? change(event, first + i) : event;
      });
    };
    await copyAll(database.url, events, make, rowsPerCopy);
    if (receivedAsHappened) await receiveAsHappened(database.url);
    const service = await startTidemark({ url: database.url, folder });
    let stopped: Promise<string[]> | null = null;
    const stop = () => {
      stopped ??= service.stop();
      return stopped;
    };
    try {
      await settle(database);
      await packDue(database);
      return {
        ...{ database, service, events, from, to },
        async end() {
          const problems = await stop();
          await database.drop();
          return problems;
        },
      };
    } catch (error) {
      await stop();
      throw error;
    }
  } catch (error) {
    await database.drop();
    throw error;
  }
}

/** Packs every chunk that is old enough, unless the service itself does, and settles. Nothing on the postgres engine. */
export async function packDue(database: BenchDatabase): Promise<void> {
  if (database.engine !== 'timescale') return;
  await withClient(database.url, async (client) => {
    const deadline = Date.now() + PACK_MS;
    for (let due = await chunksDue(client); due.length > 0; due = await chunksDue(client)) {
      if (Date.now() > deadline) throw new Error(`${due.length} chunks are not packed after ${PACK_MS} ms`);
      for (const chunk of due) {
        interruption.throwIfAborted();
        const packed = await compressChunk(client, NOBODY_WAITS, chunk, interruption).catch(() => 'busy');
        if (packed !== 'done') await sleep(AGAIN_MS, undefined, { signal: interruption });
      }
    }
  });
  await settle(database);
}

const NOBODY_WAITS: Pick<pg.Pool, 'query'> = {
  query: (async () => ({ rows: [] })) as unknown as pg.Pool['query'],
};
