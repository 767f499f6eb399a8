import { Agent } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { createKey } from '../../src/access/tenancy/keys.ts';
import type { Operation } from '../support/description.ts';
import { converse } from '../support/rawHttp.ts';
import { IDENTITIES } from '../support/storedEvents.ts';
import { randomFrom } from '../support/traffic.ts';
import { answerFault, type Seen } from './answerFault.ts';
import { startBystander } from './bystander.ts';
import { ExportLedger, rpcStatusFault } from './exportLedger.ts';
import { FAMILIES } from './families/index.ts';
import type { Arsenal, HostileRequest } from './hostileRequest.ts';
import { sendHttp } from './sendHttp.ts';
import { slowSockets } from './slowSockets.ts';
import type { Target } from './target.ts';

/** The limits of an instance under attack, so that slow requests are over soon. */
export const HURRIED = {
  HEADERS_TIMEOUT_MS: '3000',
  REQUEST_TIMEOUT_MS: '4000',
  KEEP_ALIVE_TIMEOUT_MS: '5000',
};
/** When what has not settled is taken to hang, in ms. Far later than any of them: a busy machine is no fault. */
const SETTLES_MS = 60_000;
const SECRET = 'secret-of-the-victim';
const WORKERS = 12;
/** Requests that break off wait for their timeout; they need not wait one after the other. */
const RAW_WORKERS = 40;
const FAULTS_LISTED = 20;

export interface AttackPlan {
  target: Target;
  sql: pg.Pool;
  adminKey: string;
  operations: Operation[];
  requests: number;
  slowSockets: number;
  seed: number;
}

export interface AttackReport {
  /** Each names its request: family, number, bytes. */
  faults: string[];
  /** Answers by family and status; 0: the connection was closed without one. */
  answers: Record<string, Record<string, number>>;
  sent: number;
  /** Events of exports that are stored. */
  exported: number;
  bystander: { requests: number; slowestMs: number; events: number };
  slow: { opened: number; alive: number };
  /** Bytes: after a tenth of the requests, and at the end. */
  heap: [number, number];
  rss: [number, number];
  seconds: number;
}

/** Sends everything that is in the families, and holds what comes back, and what is stored, against what may. */
export async function attack(plan: AttackPlan): Promise<AttackReport> {
  const { target, sql, seed } = plan;
  const started = performance.now();
  const faults: string[] = [];
  const fault = (text: string) => {
    if (faults.length < FAULTS_LISTED) faults.push(text.slice(0, 1_500));
  };
  const attacker = await makeTenant(sql, 'attacker');
  const exporter = await makeTenant(sql, 'exporter');
  const victim = await makeTenant(sql, SECRET);
  const report: AttackReport['answers'] = {};
  const count = (family: string, status: number) => {
    report[family] ??= {};
    report[family][status] = (report[family][status] ?? 0) + 1;
  };
  let accepted = 0;
  const exported = new ExportLedger();

  const agent = new Agent({ keepAlive: true, maxSockets: WORKERS });
  const arsenal = (family: string, turn: number): Arsenal => {
    const random = randomFrom(seed ^ hash(`${family} ${turn}`));
    return {
      random,
      pick: (values) => values[Math.floor(random() * values.length)]!,
      turn,
      event: () => eventOf(random),
      key: attacker.key,
      exporterKey: exporter.key,
      adminKey: plan.adminKey,
      victimId: victim.id,
      operations: plan.operations,
    };
  };

  const judge = (family: string, turn: number, request: HostileRequest, seen: Seen) => {
    count(family, seen.status);
    const text = textOf(request);
    const platform = text.includes(plan.adminKey);
    const secrets = platform ? [] : [SECRET, victim.key];
    const isExport = !('raw' in request) && request.path.startsWith('/otlp');
    const wrong = isExport
      ? (answerFault(seen, text, secrets, rpcStatusFault) ??
        (seen.status === 200 ? exported.take(request, seen) : null))
      : answerFault(seen, text, secrets);
    if (wrong)
      fault(
        `${family} ${turn}: ${wrong}\n  ${describe(request)}\n  ${seen.status} ${seen.body.slice(0, 400)}`,
      );
    if (seen.status === 200 && /^\{"accepted":\d/.test(seen.body)) accepted += JSON.parse(seen.body).accepted;
  };

  const send = async (family: string, turn: number) => {
    const request = FAMILIES[family]!.family(arsenal(family, turn));
    if (!('raw' in request)) {
      try {
        judge(family, turn, request, await sendHttp(agent, target.address, request, SETTLES_MS));
      } catch (error) {
        fault(`${family} ${turn}: ${error}\n  ${describe(request)}`);
      }
      return;
    }
    const { answers, closed, text } = await converse(target.address, request.raw, {
      firstMs: SETTLES_MS,
      quietMs: 60,
    });
    if (text === '' && !closed)
      fault(`${family} ${turn}: neither an answer nor an end\n  ${describe(request)}`);
    if (answers.length === 0) count(family, 0);
    for (const answer of answers) judge(family, turn, request, answer);
  };

  const tasks = planned(plan.requests);
  let next = 0;
  let sent = 0;
  const work = async (until: number) => {
    while (next < until && target.exit() === null) {
      const [family, turn] = tasks[next++]!;
      await send(family, turn);
      sent++;
    }
  };
  const round = async (until: number) => {
    const rest = Array.from({ length: WORKERS }, () => work(until));
    await Promise.all(rest);
  };
  const rawTasks = rawTurns(plan.requests);
  let nextRaw = 0;
  const workRaw = async () => {
    while (nextRaw < rawTasks && target.exit() === null) {
      await send('framing', nextRaw++);
      sent++;
    }
  };

  const bystander = startBystander(target.address, victim.key, SECRET, SETTLES_MS);
  const warmUp = Math.max(Math.floor(tasks.length / 10), Math.min(tasks.length, 2_000));
  await round(warmUp);
  const before = await memoryOf(target);
  const [, , slow] = await Promise.all([
    round(tasks.length),
    Promise.all(Array.from({ length: RAW_WORKERS }, workRaw)),
    slowSockets(target.address, attacker.key, plan.slowSockets, SETTLES_MS),
  ]);
  if (slow.alive > 0) fault(`${slow.alive} of ${slow.opened} slow sockets still live`);
  await bystander.stop();
  agent.destroy();
  await sleep(500);
  const after = await memoryOf(target);

  if (target.exit() !== null) fault(`the instance has ended: ${target.exit()}`);
  for (const text of bystander.faults) fault(`beside: ${text}`);
  const said = target
    .said()
    .split('\n')
    .filter((line) => line !== '' && !isOfRejected(line));
  if (said.length > 0) fault(`the instance says: ${said.join('\n')}`);
  const mustHave = [
    { whose: 'victim', tenantId: victim.id, events: bystander.acknowledged.length },
    { whose: 'attacker', tenantId: attacker.id, events: accepted },
    { whose: 'exporter', tenantId: exporter.id, events: exported.stored.size },
  ];
  for (const text of await countFaults(sql, mustHave)) fault(text);
  for (const text of await idFaults(sql, victim.id, bystander.acknowledged)) fault(text);
  for (const text of await idFaults(sql, exporter.id, [...exported.stored])) fault(text);
  for (const text of await victimFaults(sql, victim.id)) fault(text);
  return {
    faults,
    answers: report,
    sent,
    exported: exported.stored.size,
    bystander: {
      requests: bystander.requests(),
      slowestMs: Math.round(bystander.slowestMs()),
      events: bystander.acknowledged.length,
    },
    slow,
    heap: [before.heap, after.heap],
    rss: [before.rss, after.rss],
    seconds: Math.round((performance.now() - started) / 1_000),
  };
}

/** Of each family as many as its share, mixed, without the raw one. */
function planned(requests: number): [family: string, turn: number][] {
  const tasks: [string, number, number][] = [];
  for (const [name, { share }] of Object.entries(FAMILIES)) {
    if (name === 'framing') continue;
    const count = Math.round((requests * share) / 100);
    for (let turn = 0; turn < count; turn++) tasks.push([name, turn, (turn + 0.5) / count]);
  }
  return tasks.sort((a, b) => a[2] - b[2]).map(([name, turn]) => [name, turn]);
}

function rawTurns(requests: number): number {
  return Math.round((requests * FAMILIES.framing!.share) / 100);
}

async function makeTenant(sql: pg.Pool, name: string): Promise<{ id: string; key: string }> {
  const id = `${name === SECRET ? 'victim' : name}-${Math.random().toString(36).slice(2)}`;
  await sql.query('insert into tenant (id, name) values ($1, $2)', [id, name]);
  const { key } = await createKey(sql, { tenantId: id, scopes: ['ingest', 'read', 'admin'] });
  return { id, key };
}

/** Nothing of a refused request is stored, and nothing of an acknowledged one is missing; and there is nothing else. */
async function countFaults(
  sql: pg.Pool,
  tenants: { whose: string; tenantId: string; events: number }[],
): Promise<string[]> {
  const faults: string[] = [];
  for (const { whose, tenantId, events } of tenants) {
    const { rows } = await sql.query(
      `select (select count(*) from event where tenant_id = $1)::int as stored, ${IDENTITIES} as known`,
      [tenantId],
    );
    const [{ stored, known }] = rows;
    if (stored !== events) faults.push(`event: ${stored} of the ${whose}, ${events} acknowledged`);
    if (known !== events) faults.push(`event_key: ${known} of the ${whose}, ${events} acknowledged`);
  }
  const { rows } = await sql.query('select count(*)::int as n from event where tenant_id <> all ($1)', [
    tenants.map(({ tenantId }) => tenantId),
  ]);
  if (rows[0].n !== 0) faults.push(`${rows[0].n} events of nobody`);
  return faults;
}

/** The events of a tenant are those that it knows of. */
async function idFaults(sql: pg.Pool, tenantId: string, acknowledged: string[]): Promise<string[]> {
  const { rows } = await sql.query('select event_id from event where tenant_id = $1', [tenantId]);
  const stored = new Set(rows.map(({ event_id }) => event_id as string));
  const known = new Set(acknowledged);
  const [lost] = acknowledged.filter((id) => !stored.has(id));
  const [strange] = [...stored].filter((id) => !known.has(id));
  return [
    ...(lost === undefined ? [] : [`event: ${lost} of ${tenantId} is acknowledged, and not stored`]),
    ...(strange === undefined ? [] : [`event: ${strange} of ${tenantId} is stored, and not acknowledged`]),
  ];
}

async function victimFaults(sql: pg.Pool, victimId: string): Promise<string[]> {
  const { rows } = await sql.query(
    `select (select count(*) from tenant where id = $1 and active and name = $2)::int as victim,
            (select count(*) from api_key where tenant_id = $1)::int as keys`,
    [victimId, SECRET],
  );
  const [{ victim, keys }] = rows;
  return victim === 1 && keys === 1 ? [] : [`the victim has changed: ${JSON.stringify(rows[0])}`];
}

/** The least of a few looks, so that what is under way does not count. */
async function memoryOf(target: Target): Promise<{ heap: number; rss: number }> {
  const least = { heap: Number.POSITIVE_INFINITY, rss: Number.POSITIVE_INFINITY };
  for (let look = 0; look < 5 && target.exit() === null; look++) {
    const { heap, rss } = await target.memory();
    least.heap = Math.min(least.heap, heap);
    least.rss = Math.min(least.rss, rss);
    await sleep(100);
  }
  return least;
}

function eventOf(random: () => number): Record<string, unknown> {
  const hex = (digits: number) =>
    Array.from({ length: digits }, () => Math.floor(random() * 16).toString(16)).join('');
  return {
    eventId: `${hex(8)}-${hex(4)}-4${hex(3)}-8${hex(3)}-${hex(12)}`,
    timestamp: new Date().toISOString(),
    customerId: `c${Math.floor(random() * 50)}`,
    apiEndpoint: '/api/completion',
    metadata: { tokens: Math.floor(random() * 100), model: 'gpt-4', latencyMs: 1.5, note: 'ü' },
  };
}

/** All that the request says, percent-decoded where that is possible: an answer may repeat it. */
function textOf(request: HostileRequest): string {
  if ('raw' in request) return request.raw.map(String).join('');
  const { path, headers, body } = request;
  let decoded = '';
  try {
    decoded = decodeURIComponent(path);
  } catch {}
  return [path, decoded, JSON.stringify(headers), String(body ?? '')].join('\n');
}

function describe(request: HostileRequest): string {
  if ('raw' in request) return JSON.stringify(request.raw.map((part) => String(part).slice(0, 500)));
  const { method, path, headers, body } = request;
  return `${method} ${path.slice(0, 300)} ${JSON.stringify(headers).slice(0, 300)} ${JSON.stringify(String(body ?? '').slice(0, 500))}`;
}

/** FNV-1a. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (const char of text) value = Math.imul(value ^ char.codePointAt(0)!, 0x01000193);
  return value >>> 0;
}

/** What is logged of the events that were refused, as it should be. */
function isOfRejected(line: string): boolean {
  return JSON.parse(line).msg === 'events were rejected';
}
