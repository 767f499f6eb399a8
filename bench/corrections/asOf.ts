import { setTimeout as sleep } from 'node:timers/promises';
import { WINDOW_MS } from '../../src/model/window.ts';
import { CUSTOMERS } from '../load/workload.ts';
import { askAgainAndAgain, type Question, rangeOf } from '../services/asking.ts';
import { type StoredHistory, storeHistory } from '../services/storedHistory.ts';
import { interruption } from '../support/interruption.ts';
import { type BenchServer, withClient } from '../support/servers.ts';
import { figure } from '../support/table.ts';
import { ask, correct } from './calls.ts';
import type { Options } from './options.ts';
import type { CorrectionSample, Row } from './sample.ts';

const DAY_MS = 86_400_000;
const DAYS = 10;
/** Of each customer's day some have been corrected since. */
const CORRECTED = 10_000;
const LOOK_MS = 1_000;
const COMPARED = 20;

type CallRow = { calls: number };

/** A day of a customer as of a moment since which some of its events have become void. */
export async function measureAsOf(
  server: BenchServer,
  options: Options,
  folder: string,
  keep: (samples: readonly CorrectionSample[]) => void,
): Promise<void> {
  const to = Math.floor(Date.now() / WINDOW_MS) * WINDOW_MS;
  const history = await storeHistory(
    server,
    { events: options.events, from: to - DAYS * DAY_MS, to },
    folder,
  );
  const samples: CorrectionSample[] = [];
  try {
    await ask(history, '/v1/meters', {
      slug: 'gb',
      eventType: 'api.request',
      aggregation: 'sum',
      value: '$.gb',
    });
    await filled(history);
    const before = await settled(history, Date.now());
    const ids = await withClient(history.database.url, async (client) => {
      const { rows } = await client.query<{ event_id: string }>(
        'select event_id from event order by random() limit $1',
        [Math.min(CORRECTED, Math.floor(options.events / 10))],
      );
      return rows.map(({ event_id }) => event_id);
    });
    await correct(history, 'void', ids);
    const after = await settled(history, Date.now());
    for (let round = 1; round <= options.rounds; round++) {
      for (const question of questionsOf(history, before, after)) {
        interruption.throwIfAborted();
        const sample = await askAgainAndAgain(history.service, server.postmaster, question, options);
        samples.push(sample);
        keep([sample]);
      }
    }
    samples.at(-1)!.problems.push(...(await compare(history, before, after, ids.length)));
  } finally {
    samples.at(-1)?.problems.push(...(await history.end()));
  }
}

/** Whole days of customers, all of them, in one order. */
function daysOf({ from, to }: StoredHistory): { from: number; to: number; customer: string }[] {
  const first = Math.ceil(from / DAY_MS);
  const last = Math.floor(to / DAY_MS);
  return Array.from({ length: last - first }, (_, i) => (first + i) * DAY_MS).flatMap((day) =>
    CUSTOMERS.map((customer) => ({ from: day, to: day + DAY_MS, customer })),
  );
}

function questionsOf(history: StoredHistory, before: string, after: string): Question<Row>[] {
  const days = daysOf(history);
  const who = `${figure(history.events)} events`;
  const each = (variant: string, asOf: string | null, path: string, more = ''): Question<Row> => ({
    ...{ row: 'asOf', variant, who },
    paths: days.map(
      ({ from, to, customer }) =>
        `${path}?${rangeOf(from, to)}&customerId=${customer}${more}${asOf === null ? '' : `&asOf=${asOf}`}`,
    ),
  });
  const moments: [string, string | null][] = [
    ['now', null],
    ['as of the last closing', after],
    [`as of before ${CORRECTED} corrections`, before],
  ];
  return moments.flatMap(([name, asOf]) => [
    each(`usage by hour, ${name}`, asOf, '/v1/usage', '&granularity=1h'),
    each(`windows, ${name}`, asOf, '/v1/windows', '&limit=1000'),
    each(`a meter, ${name}`, asOf, '/v1/meters/gb/query'),
  ]);
}

/** Waits until a moment is settled. @returns one that is, as the service writes it. */
async function settled(history: StoredHistory, ms: number): Promise<string> {
  const at = new Date(ms).toISOString();
  for (;;) {
    const path = `/v1/usage?granularity=1d&${rangeOf(ms - DAY_MS, ms)}&asOf=${new Date(Date.now()).toISOString()}`;
    const { asOf } = await ask<{ asOf: string }>(history, path);
    if (asOf >= at) return asOf;
    await sleep(LOOK_MS, undefined, { signal: interruption });
  }
}

async function filled({ database }: StoredHistory): Promise<void> {
  await withClient(database.url, async (client) => {
    for (;;) {
      const { rows } = await client.query(
        'select from meter_series where retired_at is null and filled_from > fill_floor limit 1',
      );
      if (rows.length === 0) return;
      await sleep(LOOK_MS, undefined, { signal: interruption });
    }
  });
}

/** What was said as of before is what is said now, and what has become void. */
async function compare(
  history: StoredHistory,
  before: string,
  after: string,
  voided: number,
): Promise<string[]> {
  const sum = ({ data }: { data: CallRow[] }) => data.reduce((calls, row) => calls + row.calls, 0);
  const whole = `/v1/usage?granularity=1d&${rangeOf(history.from, history.to)}`;
  const [was, is] = [sum(await ask(history, `${whole}&asOf=${before}`)), sum(await ask(history, whole))];
  const problems =
    was - is === voided && was === history.events
      ? []
      : [`${was} calls as of before and ${is} now, where ${voided} of ${history.events} are void`];
  const days = daysOf(history).filter((_, i) => i % Math.ceil(daysOf(history).length / COMPARED) === 0);
  for (const { from, to, customer } of days) {
    const range = `${rangeOf(from, to)}&customerId=${customer}`;
    const of = async (asOf: string) =>
      sum(await ask(history, `/v1/usage?granularity=1d&${range}&asOf=${asOf}`));
    const { difference } = await ask<{ difference: CallRow }>(
      history,
      `/v1/usage/changes?${range}&since=${before}&until=${after}`,
    );
    if ((await of(after)) - (await of(before)) !== difference.calls) {
      problems.push(`${range}: the changes are not the difference of the two answers`);
    }
  }
  return problems;
}
