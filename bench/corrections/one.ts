import type pg from 'pg';
import { WINDOW_MS } from '../../src/model/window.ts';
import { CUSTOMERS } from '../load/workload.ts';
import { packDue, storeHistory } from '../services/storedHistory.ts';
import { interruption } from '../support/interruption.ts';
import { type BenchServer, withClient } from '../support/servers.ts';
import { callsOf, compareCounts, correct, refreshed } from './calls.ts';
import type { Options } from './options.ts';
import { type CorrectionSample, timed } from './sample.ts';

const DAY_MS = 86_400_000;
/** Days ago: of rows, and of what is packed by its age. */
const ROWS_DAYS = 2;
const PACKED_DAYS = 10;

interface BigWindow {
  variant: string;
  from: number;
}

/**
 * Void of one event in a window with very many, of one customer: how long its answer takes, until the next read has it, and
 * until the window is refreshed.
 */
export async function measureOne(
  server: BenchServer,
  { windowEvents, rounds }: Options,
  folder: string,
  keep: (samples: readonly CorrectionSample[]) => void,
): Promise<void> {
  const windowAgo = (days: number) => Math.floor((Date.now() - days * DAY_MS) / WINDOW_MS) * WINDOW_MS;
  const windows: BigWindow[] = [
    { variant: 'in rows', from: windowAgo(ROWS_DAYS) },
    ...(server.engine === 'timescale' ? [{ variant: 'packed', from: windowAgo(PACKED_DAYS) }] : []),
  ];
  const events = windowEvents * windows.length;
  const history = await storeHistory(
    server,
    {
      events,
      from: windowAgo(PACKED_DAYS),
      to: Date.now(),
      receivedAsHappened: true,
      change(event, i) {
        const { from } = windows[Math.floor(i / windowEvents)]!;
        const tsMicros = from * 1_000 + Math.floor(((i % windowEvents) / windowEvents) * WINDOW_MS * 1_000);
        return { ...event, tsMicros, customerId: CUSTOMERS[0]! };
      },
    },
    folder,
  );
  try {
    await withClient(history.database.url, async (client) => {
      for (let round = 1; round <= rounds; round++) {
        for (const { variant, from } of windows) {
          interruption.throwIfAborted();
          await packDue(history.database);
          const read = () => callsOf(history, from, from + WINDOW_MS, CUSTOMERS[0]);
          const before = await read();
          const id = await anyOf(client, from);
          const began = performance.now();
          const { ms, answer } = await correct(history, 'void', [id]);
          const readBegan = performance.now();
          const after = await read();
          const readMs = performance.now() - readBegan;
          await refreshed(client);
          const refreshedMs = performance.now() - began;
          const samples = [
            timed('one', variant, 'until answered', ms),
            timed('one', variant, 'the next read', readMs),
            timed('one', variant, 'until refreshed', refreshedMs),
          ];
          if (answer.events !== 1 || after !== before - 1) {
            samples[0]!.problems.push(`${answer.events} became void, and ${before} calls became ${after}`);
          }
          await correct(history, 'restore', [id]);
          await refreshed(client);
          samples[0]!.problems.push(...(await compareCounts(client, events)));
          keep(samples);
        }
      }
    });
  } finally {
    const problems = await history.end();
    if (problems.length > 0) keep([{ ...timed('one', '', 'the service', 0), problems }]);
  }
}

async function anyOf(client: pg.Client, from: number): Promise<string> {
  const at = from + Math.random() * WINDOW_MS;
  const { rows } = await client.query<{ event_id: string }>(
    'select event_id from event where ts >= $1 and ts < $2 order by ts limit 1',
    [new Date(at).toISOString(), new Date(from + WINDOW_MS).toISOString()],
  );
  return rows[0]!.event_id;
}
