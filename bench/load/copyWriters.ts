import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { CopyTransaction } from '../../src/intake/ingest/copyTransaction.ts';
import { interruption } from '../support/interruption.ts';
import { type Percentiles, percentilesOf } from '../support/percentiles.ts';
import { Meter, type Usage } from '../support/processStats.ts';
import { type CopyBatch, type CopyBatchOptions, makeCopyBatch } from './copyBatches.ts';

/** Sends one batch in a transaction of its own. */
export type SendBatch = (client: pg.Client, batch: CopyBatch) => Promise<void>;

/** Everything in one round trip: the fastest way found, hence the floor's. */
export const sendAtOnce: SendBatch = async (client, batch) => {
  const transaction = new CopyTransaction(batch.statements.join(';\n'), batch.data);
  client.query(transaction);
  await transaction.done;
};

export interface CopyRun extends Omit<CopyBatchOptions, 'seed'> {
  url: string;
  connections: number;
  send: SendBatch;
  postmaster: number | null;
  warmupMs: number;
  durationMs: number;
}

export interface CopyReport {
  rowsPerSecond: number;
  /** Rows committed, warm-up and tail included. */
  rows: number;
  /** From sending a batch to its commit, in ms. */
  latency: Percentiles;
  usage: Usage;
}

/** Each connection sends its next batch when the last one has committed. Usage is that of PostgreSQL and of this process. */
export async function runCopies(run: CopyRun): Promise<CopyReport> {
  const meter = new Meter({ service: process.pid, postmaster: run.postmaster });
  const latencies: number[] = [];
  let phase: 'warmup' | 'measured' | 'tail' = 'warmup';
  let rows = 0;
  const drive = async (connection: number) => {
    const client = new pg.Client(run.url);
    client.on('error', () => undefined);
    await client.connect();
    try {
      // Two in turn: one is renewed while the other is on its way.
      const seed = connection * 2 + 1;
      const pair = [makeCopyBatch({ ...run, seed }), makeCopyBatch({ ...run, seed: seed + 1 })] as const;
      pair[0].renew();
      for (let turn = 0; phase !== 'tail'; turn++) {
        const sent = performance.now();
        const sending = run.send(client, pair[turn % 2 === 0 ? 0 : 1]);
        sending.catch(() => undefined);
        pair[turn % 2 === 0 ? 1 : 0].renew();
        await sending;
        rows += run.rows;
        if (phase === 'measured') latencies.push(performance.now() - sent);
      }
    } finally {
      await client.end();
    }
  };
  const driven = Promise.all(Array.from({ length: run.connections }, (_, i) => drive(i)));
  driven.catch(() => undefined);
  await Promise.race([driven, sleep(run.warmupMs, undefined, { signal: interruption })]);
  meter.begin();
  const from = performance.now();
  const rowsFrom = rows;
  phase = 'measured';
  await Promise.race([driven, sleep(run.durationMs, undefined, { signal: interruption })]);
  const rowsPerSecond = (rows - rowsFrom) / ((performance.now() - from) / 1_000);
  phase = 'tail';
  const usage = meter.end();
  await driven;
  return { rowsPerSecond, rows, latency: percentilesOf(latencies), usage };
}
