import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { WINDOW_MS } from '../../src/model/window.ts';
import { CUSTOMERS, TENANT } from '../load/workload.ts';
import { askAgainAndAgain, type Question, rangeOf } from '../services/asking.ts';
import { packDue, type StoredHistory, storeHistory } from '../services/storedHistory.ts';
import { buildService } from '../support/buildService.ts';
import { interruption } from '../support/interruption.ts';
import { measureSamples, type Room } from '../support/measureSamples.ts';
import { median } from '../support/percentiles.ts';
import { runToEnd } from '../support/runToEnd.ts';
import type { Sample } from '../support/samples.ts';
import { type BenchServer, withClient } from '../support/servers.ts';
import { figure } from '../support/table.ts';
import { type Options, readOptions } from './options.ts';

/*
 * How fast it is answered what AI usage costs: a month of it, by prices of which one changes within the month. README.md says
 * how to run and read it.
 */

const DAY_MS = 86_400_000;
const MONTH_DAYS = 30;
const FILL_MS = 3_600_000;
const LOOK_MS = 200;
/** p99 of every question, in ms. */
const AIM_MS = 50;
/** In force one after the other, and from when on: the moment of the last but one lies within a month, a day and an hour. */
const CHANGED_DAYS = 12.3456;
const PRICES = [
  { model: 'gpt-4', unitPrices: { input: '2.5', output: '10' }, ends: true },
  { model: 'gpt-4', unitPrices: { input: '2', output: '8' }, begins: true },
  { model: 'claude-3', unitPrices: { input: '3', output: '15' } },
  { model: 'llama', match: 'prefix', unitPrices: { input: '0.2', output: '0.6', call: '0.0001' } },
];

type Row = 'costs';
type CostSample = Sample & { row: Row; unit: string };

const COSTS: Room<CostSample> = {
  name: 'costs',
  nameOf: ({ variant }) => variant,
  unitOf: ({ unit }) => unit,
  verdictsOf({ samples }) {
    return [...new Set(samples.map(({ variant }) => variant))].map((variant) => {
      const values = samples.filter((sample) => sample.variant === variant).map(({ value }) => value);
      const value = median(values);
      return {
        ...{ what: `${variant}, p99 in ms`, value, range: [Math.min(...values), Math.max(...values)] },
        ...{ aim: `≤ ${AIM_MS}`, reached: value <= AIM_MS },
      };
    });
  },
};

async function main(): Promise<void> {
  const options = readOptions(process.argv.slice(2));
  if (options.build) buildService();
  await measureSamples(
    COSTS,
    options,
    async (folder) => (server, keep) => measureEngine(server, options, folder, keep),
  );
}

async function measureEngine(
  server: BenchServer,
  options: Options,
  folder: string,
  keep: (samples: readonly CostSample[]) => void,
): Promise<void> {
  const log = (line: string) => console.error(`${server.engine}: ${line}`);
  const to = Date.now();
  const from = Math.floor((to - options.days * DAY_MS) / WINDOW_MS) * WINDOW_MS;
  log(`${figure(options.events)} events of ${options.days} days`);
  const history = await storeHistory(server, { events: options.events, from, to }, folder);
  const samples: CostSample[] = [];
  try {
    const changed = to - CHANGED_DAYS * DAY_MS;
    await putPrices(history, changed);
    await filled(history);
    await packDue(history.database);
    for (let round = 1; round <= options.rounds; round++) {
      for (const question of questionsOf(history)) {
        interruption.throwIfAborted();
        const sample = await askAgainAndAgain(history.service, server.postmaster, question, options);
        log(`round ${round}: ${sample.variant}: p99 ${figure(sample.value)} ms`);
        samples.push(sample);
        keep([sample]);
      }
    }
    samples.at(-1)!.problems.push(...(await compare(history, changed)));
  } finally {
    samples.at(-1)?.problems.push(...(await history.end()));
  }
}

/** All stretches of thirty whole days in what is stored. */
function months({ from, to }: StoredHistory): { from: number; to: number }[] {
  const first = Math.ceil(from / DAY_MS);
  const last = Math.floor(to / DAY_MS) - MONTH_DAYS;
  return Array.from({ length: last - first + 1 }, (_, i) => ({
    from: (first + i) * DAY_MS,
    to: (first + i + MONTH_DAYS) * DAY_MS,
  }));
}

function questionsOf(history: StoredHistory): Question<Row>[] {
  const ask = (variant: string, parameters: string[]): Question<Row> => ({
    ...{ row: 'costs', variant: `a month ${variant}`, who: `${figure(history.events)} events` },
    paths: months(history).flatMap((month) =>
      parameters.map((more) => `/v1/costs?${rangeOf(month.from, month.to)}&${more}`),
    ),
  });
  return [
    ask('by day, customer and model, 100 rows', ['granularity=1d&groupBy=customer,model&limit=100']),
    ask('by day, customer and model, 1,000 rows', ['granularity=1d&groupBy=customer,model&limit=1000']),
    ask('by day and model', ['granularity=1d&groupBy=model&limit=1000']),
    ask('by customer and model', ['granularity=1mo&groupBy=customer,model&limit=1000']),
    ask(
      'of a customer by day and model',
      CUSTOMERS.slice(0, 20).map(
        (customer) => `granularity=1d&groupBy=model&customerId=${customer}&limit=1000`,
      ),
    ),
  ];
}

async function askService(
  { service }: StoredHistory,
  path: string,
  init: RequestInit = {},
): Promise<unknown> {
  const headers = {
    Authorization: `Bearer ${service.adminKey}`,
    'X-Tenant-Id': TENANT,
    'Content-Type': 'application/json',
  };
  const answer = await fetch(`http://127.0.0.1:${service.port}${path}`, {
    ...init,
    headers,
    signal: interruption,
  });
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
  return answer.json();
}

/** @param changed when the one price takes the place of the other, ms since the epoch. */
async function putPrices(history: StoredHistory, changed: number): Promise<void> {
  const at = new Date(changed).toISOString();
  const body = PRICES.map(({ ends, begins, ...price }) => ({
    ...price,
    ...{ currency: 'USD', per: 'million' },
    ...(ends && { effectiveTo: at }),
    ...(begins && { effectiveFrom: at }),
  }));
  await askService(history, '/v1/prices', { method: 'POST', body: JSON.stringify(body) });
}

/** Waits until the past is in the levels of what costs are made of. */
async function filled({ database }: StoredHistory): Promise<void> {
  await withClient(database.url, async (client) => {
    const deadline = Date.now() + FILL_MS;
    const isFilled = async () => {
      const { rows } = await client.query<{ done: boolean | null }>(
        'select bool_and(filled_from <= fill_floor) as done from meter_series where retired_at is null',
      );
      return rows[0]!.done === true;
    };
    while (!(await isFilled())) {
      if (Date.now() > deadline) throw new Error(`what costs are made of is not filled after ${FILL_MS} ms`);
      await sleep(LOOK_MS, undefined, { signal: interruption });
    }
  });
}

/** A month by model against a sum over its events. */
async function compare(history: StoredHistory, changed: number): Promise<string[]> {
  const month = months(history)[0]!;
  const path = `/v1/costs?${rangeOf(month.from, month.to)}&granularity=1d&groupBy=model&limit=1000`;
  const { data } = (await askService(history, path)) as {
    data: { bucket: string; model: string; calls: number; costs: { amount: string }[] }[];
  };
  const served = data.map(({ bucket, model, calls, costs }) => [
    ...[bucket.slice(0, 10), model, calls],
    Number(costs[0]?.amount),
  ]);
  const counted = await withClient(history.database.url, (client) => countCosts(client, month, changed));
  const differs = JSON.stringify(served.sort()) !== JSON.stringify(counted.sort());
  return differs ? [`${path} is not what a sum over the events says`] : [];
}

async function countCosts(
  client: pg.Client,
  { from, to }: { from: number; to: number },
  changed: number,
): Promise<unknown[][]> {
  const { rows } = await client.query<{ day: string; model: string; calls: string; amount: string }>(
    `select to_char(ts at time zone 'UTC', 'YYYY-MM-DD') as day, model, count(*) as calls, trim_scale(sum(case
         when model = 'gpt-4' and ts < $4 then input_tokens * 0.0000025 + output_tokens * 0.00001
         when model = 'gpt-4' then input_tokens * 0.000002 + output_tokens * 0.000008
         when model = 'claude-3' then input_tokens * 0.000003 + output_tokens * 0.000015
         else input_tokens * 0.0000002 + output_tokens * 0.0000006 + 0.0001 end))::text as amount
     from event where tenant_id = $1 and ts >= $2 and ts < $3 group by 1, 2`,
    [TENANT, ...[from, to, changed].map((ms) => new Date(ms).toISOString())],
  );
  return rows.map(({ day, model, calls, amount }) => [day, model, Number(calls), Number(amount)]);
}

runToEnd(main);
