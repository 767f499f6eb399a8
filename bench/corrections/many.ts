import type pg from 'pg';
import { WINDOW_MS } from '../../src/model/window.ts';
import { packDue, storeHistory } from '../services/storedHistory.ts';
import { interruption } from '../support/interruption.ts';
import { type BenchServer, withClient } from '../support/servers.ts';
import { figure } from '../support/table.ts';
import { callsOf, compareCounts, correct, refreshed } from './calls.ts';
import type { Options } from './options.ts';
import { type CorrectionSample, timed } from './sample.ts';

const DAY_MS = 86_400_000;
const DAYS = 33;
/** Of which so many are corrected: those that are packed by their age are 26, and the others are packed here. */
const VOIDED_DAYS = 30;
/** As a service's batches: events of a few minutes were received at one moment. */
const ROWS_PER_COPY = 500;

/** Void of many events all over a month that is packed: how long its answer takes. */
export async function measureMany(
  server: BenchServer,
  { voided, manyEvents, rounds }: Options,
  folder: string,
  keep: (samples: readonly CorrectionSample[]) => void,
): Promise<void> {
  const to = Math.floor((Date.now() - 2 * DAY_MS) / WINDOW_MS) * WINDOW_MS;
  const from = to - DAYS * DAY_MS;
  const history = await storeHistory(
    server,
    { events: manyEvents, from, to, rowsPerCopy: ROWS_PER_COPY, receivedAsHappened: true },
    folder,
  );
  try {
    await withClient(history.database.url, async (client) => {
      for (let round = 1; round <= rounds; round++) {
        interruption.throwIfAborted();
        if (server.engine === 'timescale') await packAll(client);
        await packDue(history.database);
        const ids = await anyOf(client, to - VOIDED_DAYS * DAY_MS, to, voided);
        const { ms, answer } = await correct(history, 'void', ids);
        const variant = `${ids.length} in ${VOIDED_DAYS} days of ${figure(manyEvents / DAYS)} a day`;
        const sample = timed('many', variant, 'until answered', ms);
        const calls = await callsOf(history, from, to);
        if (answer.events !== ids.length || calls !== manyEvents - ids.length) {
          sample.problems.push(`${answer.events} became void, and ${calls} calls are left of ${manyEvents}`);
        }
        const { ms: backMs } = await correct(history, 'restore', ids);
        await refreshed(client);
        sample.problems.push(...(await compareCounts(client, manyEvents)));
        keep([sample, timed('many', variant, 'and restored', backMs)]);
      }
    });
  } finally {
    const problems = await history.end();
    if (problems.length > 0) keep([{ ...timed('many', '', 'the service', 0), problems }]);
  }
}

/** Whatever their age, and wholly. */
async function packAll(client: pg.Client): Promise<void> {
  const { rows } = await client.query<{ chunk: string }>(
    `select chunk from retention_chunk where relation = 'event' and state <> 1`,
  );
  for (const { chunk } of rows) {
    interruption.throwIfAborted();
    await client.query('select compress_chunk($1::regclass, true)', [chunk]);
  }
}

async function anyOf(client: pg.Client, from: number, to: number, count: number): Promise<string[]> {
  const { rows } = await client.query<{ event_id: string }>(
    'select event_id from event where ts >= $1 and ts < $2 order by random() limit $3',
    [new Date(from).toISOString(), new Date(to).toISOString(), count],
  );
  return rows.map(({ event_id }) => event_id);
}
