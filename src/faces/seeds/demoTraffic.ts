import { setTimeout as sleep } from 'node:timers/promises';
import { v7 as uuidV7 } from 'uuid';
import { Client } from './client.ts';
import { loadTenant, nameCustomers } from './loadTenant.ts';
import { Random } from './random.ts';
import type { Seeds } from './readSeeds.ts';
import type { TrafficProfile } from './seedFiles.ts';
import { noSums, Sender, type Sums } from './sender.ts';
import { type Arrival, arrivals, type PostedEvent, type TenantModel, tenantModels } from './trafficModel.ts';

const DAY_MS = 86_400_000;
const TICK_MS = 250;
/** History is made, and posted, a minute of it at a time. */
const HISTORY_STEP_MS = 60_000;
const HISTORY_REQUEST_EVENTS = 1_000;
const REQUESTS_AT_A_TIME = 4;

export interface SeedOptions {
  /** Of the service. */
  url: string;
  /** A platform key. */
  adminKey: string;
  /** How long to send live traffic, in ms; 0: not at all. */
  durationMs: number;
  /** Events per second of all tenants together, as a mean over the day. */
  rate: number;
  tenants: number;
  seeds: Seeds;
  /** How much history to post first, in ms. */
  backfillMs: number;
  seed: number;
  /** Ends it early; what was sent is compared all the same. */
  signal: AbortSignal;
  /** Told in a line what is being done, and what went wrong. */
  say(line: string): void;
  /** Given, before anything is posted, what says how far it is. */
  onStart(progress: () => string): void;
}

interface Tenant {
  model: TenantModel;
  client: Client;
  keyId: string;
  sender: Sender;
  before: Sums;
}

/** What was acknowledged, beside what the service has counted since. */
export interface SeedOutcome {
  /** For people. */
  table: string;
  /** Tenants of which the two differ, or of which requests have failed. */
  wrong: number;
}

/**
 * Posts plausible traffic of several tenants over HTTP, and compares what was acknowledged with what the service says.
 * Makes the tenants with what the seeds give them, and keys that it revokes at its end.
 *
 * @throws {Refused} when the service does not take what it is sent.
 */
export async function postDemoTraffic(options: SeedOptions): Promise<SeedOutcome> {
  const { url, say } = options;
  const admin = new Client(url, options.adminKey);
  const started = Date.now();
  /** Whole days, so that they are compared as the service sums them up. */
  const days = {
    from: Math.floor((started - options.backfillMs) / DAY_MS) * DAY_MS,
    to: Math.ceil((started + options.durationMs + DAY_MS) / DAY_MS) * DAY_MS,
  };
  const tenants: Tenant[] = [];
  try {
    for (const [i, model] of tenantModels(options.seeds, options.tenants).entries()) {
      tenants.push(await prepare(admin, url, model, new Random(options.seed + i), days));
    }
    options.onStart(() => progress(tenants));
    if (options.backfillMs > 0) await postHistory(tenants, started, options);
    await postLive(tenants, Date.now() + options.durationMs, options);
    await Promise.all(tenants.map(({ sender }) => sender.settled()));
    await Promise.all(tenants.map(({ model }) => nameCustomers(admin, model)));
    return await compare(tenants, days, say);
  } finally {
    for (const { keyId } of tenants) await admin.call('DELETE', `/v1/keys/${keyId}`).catch(() => undefined);
  }
}

/** Makes sure of the tenant, makes a key for this run, and notes what the tenant has already. */
async function prepare(
  admin: Client,
  url: string,
  model: TenantModel,
  random: Random,
  days: { from: number; to: number },
): Promise<Tenant> {
  await loadTenant(admin, model);
  const { id, key } = await admin.call<{ id: string; key: string }>('POST', '/v1/keys', {
    tenantId: model.id,
    scopes: model.keyScopes,
  });
  const client = new Client(url, key);
  const sender = new Sender(client, random, REQUESTS_AT_A_TIME, model.profile.repeats);
  return { model, client, keyId: id, sender, before: await served(client, days) };
}

/** All tenants at once, each in order of time. */
async function postHistory(tenants: Tenant[], now: number, options: SeedOptions): Promise<void> {
  const { backfillMs, rate, seed, signal, say } = options;
  const amount = Math.round((backfillMs / 1_000) * rate).toLocaleString('en');
  say(`posting ${(backfillMs / 3_600_000).toLocaleString('en')} h of history, about ${amount} events`);
  await Promise.all(
    tenants.map(async ({ model, sender }, i) => {
      const traffic = { rate, seed, random: new Random(seed + 1_000 + i), newId };
      let waiting: PostedEvent[] = [];
      for (let at = now - backfillMs; at < now && !signal.aborted; at += HISTORY_STEP_MS) {
        const step = arrivals(model, at, Math.min(now, at + HISTORY_STEP_MS), traffic);
        waiting.push(...step.map(({ event }) => event));
        for (; waiting.length >= HISTORY_REQUEST_EVENTS; waiting = waiting.slice(HISTORY_REQUEST_EVENTS)) {
          await sender.post(waiting.slice(0, HISTORY_REQUEST_EVENTS));
        }
      }
      if (waiting.length > 0) await sender.post(waiting);
      await sender.settled();
    }),
  );
}

/** As it happens, until `end` (ms since the epoch); what is then still to come late is sent at once. */
async function postLive(tenants: Tenant[], end: number, options: SeedOptions): Promise<void> {
  const { rate, seed, signal } = options;
  const random = new Random(seed + 2_000);
  await Promise.all(
    tenants.map(async ({ model, sender }, i) => {
      const traffic = { rate, seed, random: new Random(seed + 3_000 + i), newId };
      let delayed: Arrival[] = [];
      let from = Date.now();
      while (from < end && !signal.aborted) {
        await sleep(TICK_MS);
        const to = Math.min(end, Date.now());
        delayed.push(...arrivals(model, from, to, traffic));
        const due = delayed.filter(({ sendAt }) => sendAt <= to);
        delayed = delayed.filter(({ sendAt }) => sendAt > to);
        await postInParts(sender, due, random, model.profile.requests);
        from = to;
      }
      await postInParts(sender, delayed, random, model.profile.requests);
    }),
  );
}

/** Single events and batches, as clients of different kinds send them. */
async function postInParts(
  sender: Sender,
  due: Arrival[],
  random: Random,
  { single, maxEvents }: TrafficProfile['requests'],
): Promise<void> {
  const events = due.map(({ event }) => event);
  while (events.length > 0) {
    const size = random.chance(single) ? 1 : Math.ceil(random.between(1, maxEvents));
    await sender.post(events.splice(0, size));
  }
}

/** What the service says of a tenant over whole days. */
async function served(client: Client, days: { from: number; to: number }): Promise<Sums> {
  const range = `from=${new Date(days.from).toISOString()}&to=${new Date(days.to).toISOString()}`;
  const usage = await client.list<{ calls: number; inputTokens: number; outputTokens: number }>(
    `/v1/usage?${range}&granularity=1d`,
  );
  const activity = await client.list<{ totalClicks: number; totalImpressions: number }>(
    `/v1/summaries/daily?${range}`,
  );
  const sums = noSums();
  for (const { calls, inputTokens, outputTokens } of usage) {
    sums.events += calls;
    sums.inputTokens += inputTokens;
    sums.outputTokens += outputTokens;
  }
  for (const { totalClicks, totalImpressions } of activity) {
    sums.clicks += totalClicks;
    sums.impressions += totalImpressions;
  }
  return sums;
}

async function compare(
  tenants: Tenant[],
  days: { from: number; to: number },
  say: (line: string) => void,
): Promise<SeedOutcome> {
  let wrong = 0;
  const rows: string[][] = [['tenant', 'requests', 'sent twice', '', ...Object.keys(noSums())]];
  for (const { model, client, sender, before } of tenants) {
    const after = await served(client, days);
    const names = Object.keys(before) as (keyof Sums)[];
    const counted = names.map((name) => after[name] - before[name]);
    const acknowledged = names.map((name) => sender.acknowledged[name]);
    const same = counted.every((value, i) => value === acknowledged[i]);
    if (!same || sender.failures.length > 0) wrong++;
    const figures = (values: number[]) => values.map((value) => value.toLocaleString('en'));
    const { requests, repeated } = sender;
    rows.push([model.id, ...figures([requests, repeated]), 'acknowledged', ...figures(acknowledged)]);
    rows.push(['', '', '', same ? 'counted' : 'COUNTED', ...figures(counted)]);
    for (const failure of sender.failures.slice(0, 5)) say(`${model.id}: ${failure}`);
    if (sender.failures.length > 5) say(`${model.id}: ${sender.failures.length} requests failed in all`);
  }
  return { table: table(rows), wrong };
}

function table(rows: string[][]): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const line = (row: string[]) =>
    row
      .map((cell, i) => (i === 0 || i === 3 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)))
      .join('  ');
  return `${rows.map((row) => line(row).trimEnd()).join('\n')}\n`;
}

function progress(tenants: Tenant[]): string {
  const total = (of: (sender: Sender) => number) => tenants.reduce((sum, { sender }) => sum + of(sender), 0);
  const acknowledged = total((sender) => sender.acknowledged.events).toLocaleString('en');
  const failures = total((sender) => sender.failures.length);
  return `${acknowledged} events acknowledged${failures === 0 ? '' : `, ${failures} requests failed`}`;
}

function newId(ms: number): string {
  return uuidV7({ msecs: ms });
}
