import { setTimeout as sleep } from 'node:timers/promises';
import { Command, InvalidArgumentError } from 'commander';
import { v7 as uuidV7 } from 'uuid';
import { type Config, loadConfig } from '../src/config.ts';
import { StartupError } from '../src/errors.ts';
import { loadKeyring } from '../src/local/keyring.ts';
import { Client, Refused } from './client.ts';
import { parseDuration } from './durations.ts';
import { Random } from './random.ts';
import { noSums, Sender, type Sums } from './sender.ts';
import { type Arrival, arrivals, type PostedEvent, type TenantModel, tenantModels } from './trafficModel.ts';

const DAY_MS = 86_400_000;
const TICK_MS = 250;
const REPORT_MS = 5_000;
/** History is made, and posted, a minute of it at a time. */
const HISTORY_STEP_MS = 60_000;
const HISTORY_REQUEST_EVENTS = 1_000;
const LIVE_REQUEST_EVENTS = 50;
const REQUESTS_AT_A_TIME = 4;

interface Flags {
  url?: string;
  adminKey?: string;
  duration: number;
  minutes?: number;
  rate: number;
  tenants: number;
  backfill: number;
  seed: number;
}

new Command('seed')
  .description(
    'Posts plausible traffic of several tenants over HTTP: a curve over the day, bursts, late events, requests that ' +
      'are sent twice, several models and endpoints, clicks and impressions. Makes the tenants, and keys that it ' +
      'revokes at its end. Then compares what was acknowledged with what the service says. Ctrl-C ends it early.',
  )
  .option('--url <url>', 'the service (default: the local one, at PORT)')
  .option('--admin-key <key>', 'a platform key (default: ADMIN_KEY, else that of the local installation)')
  .option(
    '--duration <time>',
    'how long to send live traffic: 90s, 10m, 2h; 0s for none',
    parseDuration,
    60_000,
  )
  .option('--minutes <n>', 'the same in minutes', number)
  .option('--rate <n>', 'events per second of all tenants together, as a mean over the day', number, 20)
  .option('--tenants <n>', 'how many tenants', wholeNumber, 3)
  .option('--backfill <time>', 'first post this much history, as fast as it is accepted', parseDuration, 0)
  .option('--seed <n>', 'the same seed gives the same traffic for the same time', wholeNumber, 1)
  .action(async (flags: Flags) => {
    process.exitCode = await run(flags).catch((error: Error) => {
      const known = error instanceof StartupError || error instanceof Refused;
      process.stderr.write(`seed: ${known ? error.message : error.stack}\n`);
      return 1;
    });
  })
  .parse();

interface Tenant {
  model: TenantModel;
  client: Client;
  keyId: string;
  sender: Sender;
  before: Sums;
}

async function run(flags: Flags): Promise<number> {
  const config = loadConfig();
  const url = flags.url ?? `http://127.0.0.1:${config.http.port}`;
  const admin = new Client(url, await adminKey(flags, url, config));
  const started = Date.now();
  const signal = interruption();
  /** Whole days, so that they are compared as the service sums them up. */
  const days = {
    from: Math.floor((started - flags.backfill) / DAY_MS) * DAY_MS,
    to: Math.ceil((started + duration(flags) + DAY_MS) / DAY_MS) * DAY_MS,
  };
  const tenants: Tenant[] = [];
  try {
    for (const [i, model] of tenantModels(flags.tenants).entries()) {
      tenants.push(await prepare(admin, url, model, new Random(flags.seed + i), days));
    }
    const report = setInterval(() => say(progress(tenants)), REPORT_MS);
    try {
      if (flags.backfill > 0) await postHistory(tenants, started, flags, signal);
      await postLive(tenants, Date.now() + duration(flags), flags, signal);
      await Promise.all(tenants.map(({ sender }) => sender.settled()));
    } finally {
      clearInterval(report);
    }
    say(progress(tenants));
    return await compare(tenants, days);
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
  await admin.call('POST', '/v1/tenants', { id: model.id, name: model.name }).catch((error) => {
    if (!(error instanceof Refused && error.status === 409)) throw error;
  });
  const { id, key } = await admin.call<{ id: string; key: string }>('POST', '/v1/keys', {
    tenantId: model.id,
    scopes: ['ingest', 'read'],
  });
  const client = new Client(url, key);
  const sender = new Sender(client, random, REQUESTS_AT_A_TIME);
  return { model, client, keyId: id, sender, before: await served(client, days) };
}

/** All tenants at once, each in order of time. */
async function postHistory(tenants: Tenant[], now: number, flags: Flags, signal: AbortSignal): Promise<void> {
  say(`posting ${flags.backfill / 3_600_000} h of history, about ${amount(flags)} events`);
  await Promise.all(
    tenants.map(async ({ model, sender }, i) => {
      const options = { ...flags, random: new Random(flags.seed + 1_000 + i), newId };
      let waiting: PostedEvent[] = [];
      for (let at = now - flags.backfill; at < now && !signal.aborted; at += HISTORY_STEP_MS) {
        const step = arrivals(model, at, Math.min(now, at + HISTORY_STEP_MS), options);
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
async function postLive(tenants: Tenant[], end: number, flags: Flags, signal: AbortSignal): Promise<void> {
  const options = { ...flags, newId };
  const random = new Random(flags.seed + 2_000);
  await Promise.all(
    tenants.map(async ({ model, sender }, i) => {
      const own = new Random(flags.seed + 3_000 + i);
      let delayed: Arrival[] = [];
      let from = Date.now();
      while (from < end && !signal.aborted) {
        await sleep(TICK_MS);
        const to = Math.min(end, Date.now());
        delayed.push(...arrivals(model, from, to, { ...options, random: own }));
        const due = delayed.filter(({ sendAt }) => sendAt <= to);
        delayed = delayed.filter(({ sendAt }) => sendAt > to);
        await postInParts(sender, due, random);
        from = to;
      }
      await postInParts(sender, delayed, random);
    }),
  );
}

/** Single events and batches, as clients of different kinds send them. */
async function postInParts(sender: Sender, due: Arrival[], random: Random): Promise<void> {
  const events = due.map(({ event }) => event);
  while (events.length > 0) {
    const size = random.chance(0.4) ? 1 : Math.ceil(random.between(1, LIVE_REQUEST_EVENTS));
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

/** Prints what was acknowledged beside what the service has counted since. @returns the exit code. */
async function compare(tenants: Tenant[], days: { from: number; to: number }): Promise<number> {
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
  process.stdout.write(table(rows));
  process.stdout.write(
    wrong === 0 ? 'everything acknowledged is counted, once\n' : `${wrong} tenants do not add up\n`,
  );
  return wrong === 0 ? 0 : 1;
}

function table(rows: string[][]): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const line = (row: string[]) =>
    row
      .map((cell, i) => (i === 0 || i === 3 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)))
      .join('  ');
  return `${rows.map((row) => line(row).trimEnd()).join('\n')}\n`;
}

/** A key of the local installation is not handed to another machine. */
async function adminKey(flags: Flags, url: string, config: Config): Promise<string> {
  const given = flags.adminKey ?? config.adminKey;
  if (given !== undefined) return given;
  const { hostname } = new URL(url);
  if (!['localhost', '127.0.0.1', '[::1]'].includes(hostname)) {
    throw new StartupError('name a platform key of that service: --admin-key');
  }
  return (await loadKeyring(config.dataDir)).adminKey;
}

function interruption(): AbortSignal {
  const controller = new AbortController();
  process.once('SIGINT', () => controller.abort());
  process.once('SIGTERM', () => controller.abort());
  return controller.signal;
}

function progress(tenants: Tenant[]): string {
  const total = (of: (sender: Sender) => number) => tenants.reduce((sum, { sender }) => sum + of(sender), 0);
  const acknowledged = total((sender) => sender.acknowledged.events).toLocaleString('en');
  const failures = total((sender) => sender.failures.length);
  return `${acknowledged} events acknowledged${failures === 0 ? '' : `, ${failures} requests failed`}`;
}

function amount({ backfill, rate }: Flags): string {
  return Math.round((backfill / 1_000) * rate).toLocaleString('en');
}

function duration({ duration, minutes }: Flags): number {
  return minutes === undefined ? duration : minutes * 60_000;
}

function newId(ms: number): string {
  return uuidV7({ msecs: ms });
}

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

function number(text: string): number {
  if (!/^\d+(\.\d+)?$/.test(text) || Number(text) <= 0)
    throw new InvalidArgumentError('a number above 0 is needed');
  return Number(text);
}

function wholeNumber(text: string): number {
  if (!/^\d{1,9}$/.test(text) || Number(text) === 0)
    throw new InvalidArgumentError('a whole number is needed');
  return Number(text);
}
