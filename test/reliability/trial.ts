import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expectExact, USAGE_VIEWS } from '../support/compareSummaries.ts';
import { TcpProxy } from '../support/tcpProxy.ts';
import type { FaultOn } from './fault.ts';
import { ask } from './httpRequest.ts';
import { Load } from './load.ts';
import { ServiceProcess } from './serviceProcess.ts';
import type { Site } from './site.ts';
import { Watch } from './watch.ts';
import { WriteCutter } from './writeCutter.ts';

const ADMIN_KEY = 'tm_admin_key_of_the_reliability_tests';
const HOUR = 3_600_000;
/** Small, so that an outage fills it; or more than the load can fill, where no post may fail. */
const QUEUE_ROWS = { small: 300, ample: 2_000 };
/** After this the service is taken for dead, in ms. */
const LOST_MS = 60_000;
/** How long an orderly exit may take, in ms. */
const EXIT_MS = 10_000;
const PROBE_EVERY_MS = 100;
/** Growth of a service's resident size that is no leak: its heap fills before it is collected, in MB. */
const GROWTH_MB = 128;

export interface Pace {
  /** For the service. */
  env: Record<string, string>;
  /** How long a request may take, in ms. */
  bounds: { post: number; read: number };
  /** How long a dependency may be back before the service is, in ms. */
  recoveryMs: number;
  /** How long readiness may take to notice that the database has gone, in ms. */
  noticeMs: number;
  /** Time of the load before the first fault and after the last one, in ms. */
  quietMs: number;
  /** Between two requests of a client that posts one event at a time, in ms. */
  singlePauseMs: number;
  /** How much longer than promised things may take on a machine that does much else at once, in ms. */
  slackMs: number;
}

const SLACK_MS = 1_000;

/** The defaults of production. */
export const LONG: Pace = pace({
  ms: { deadline: 10_000, connect: 5_000, read: 15_000, probeInterval: 1_000, probe: 3_000 },
  env: {},
  singlePauseMs: 10,
  slackMs: SLACK_MS,
  recoveryMs: 5_000,
  quietMs: 5_000,
});
/** The same in fewer seconds. */
export const SHORT: Pace = pace({
  ms: { deadline: 6_000, connect: 3_000, read: 6_000, probeInterval: 300, probe: 1_500 },
  env: { DRAIN_DELAY_MS: '700' },
  singlePauseMs: 40,
  slackMs: 10 * SLACK_MS,
  recoveryMs: 20_000, // a process starts as slowly as the machine is busy
  quietMs: 500,
});

function pace({ ms, env, slackMs, ...rest }: PaceOptions): Pace {
  return {
    env: {
      INGEST_DEADLINE_MS: String(ms.deadline),
      DB_CONNECT_TIMEOUT_MS: String(ms.connect),
      READ_TIMEOUT_MS: String(ms.read),
      DB_PROBE_INTERVAL_MS: String(ms.probeInterval),
      DB_PROBE_TIMEOUT_MS: String(ms.probe),
      ...env,
    },
    // A read waits for a connection, then for the server, whose own bound comes a second earlier.
    bounds: { post: ms.deadline + slackMs, read: ms.connect + ms.read + 1_000 + slackMs },
    // A probe that had just begun does not tell yet: the database was heard of after it had.
    noticeMs: ms.probeInterval + 2 * ms.probe + slackMs / 2,
    slackMs,
    ...rest,
  };
}

interface PaceOptions {
  ms: { deadline: number; connect: number; read: number; probeInterval: number; probe: number };
  env: Record<string, string>;
  singlePauseMs: number;
  slackMs: number;
  recoveryMs: number;
  quietMs: number;
}

/** A row of the fault table. Times in ms, sizes in MB. */
export interface Figures {
  fault: string;
  description: string;
  engine: Site['engine'];
  times: number;
  requests: number;
  outcomes: Record<string, number>;
  /** Codes of refusals. */
  codes: Record<string, number>;
  acknowledged: number;
  lost: number;
  twice: number;
  longestPost: number;
  longestRead: number;
  /** From the dependency's return to the first post and read that succeed, to readiness and to live counters, whichever is last. */
  recovery: { max: number; p50: number } | null;
  /** Longest time that readiness took to notice; null where it had no time to, or nothing to notice. */
  noticedMax: number | null;
  /** Of the orderly exits. */
  exitMax: number | null;
  queueMax: number;
  rssWarm: number;
  rssEnd: number;
  rssMax: number;
  problems: string[];
}

/** What goes away and comes back. */
export interface Outage {
  begin(): Promise<unknown>;
  holdMs: number;
  /** Resolves when the dependency is back. */
  end(): Promise<unknown>;
}

export type Fault = FaultOn<Trial>;

/** One fault, again and again, on a service under load, and what is measured meanwhile. */
export class Trial {
  readonly site: Site;
  /** On the way to the database, where the fault asks for it. */
  readonly proxy: TcpProxy | undefined;
  /** Cuts writers' connections that lead through the proxy. */
  readonly cutter: WriteCutter;
  readonly services: ServiceProcess[];
  readonly watches: Watch[];
  private readonly pace: Pace;
  private readonly fault: Fault;
  private readonly load: Load;
  private readonly queueRows: number;
  private readonly problems = new Map<string, number>();
  private readonly from = Math.floor((Date.now() - 3 * HOUR) / HOUR) * HOUR;
  private readonly recoveries: number[] = [];
  private readonly notices: number[] = [];
  private readonly exits: number[] = [];
  private times = 0;
  private lost = 0;
  private rssWarm = 0;

  private constructor(
    fault: Fault,
    site: Site,
    proxy: TcpProxy | undefined,
    cutter: WriteCutter,
    pace: Pace,
    services: ServiceProcess[],
    tenants: { id: string; key: string }[],
  ) {
    this.fault = fault;
    this.site = site;
    this.proxy = proxy;
    this.cutter = cutter;
    this.pace = pace;
    this.services = services;
    this.queueRows = queueRowsFor(fault);
    this.watches = services.map((service) => new Watch(service));
    let turn = 0;
    this.load = new Load({
      tenants,
      port: () => {
        const ready = services.filter((_, i) => this.watches[i]!.isReady);
        const choice = ready.length > 0 && services.length > 1 ? ready : services;
        return choice[turn++ % choice.length]!.port;
      },
      seed: Date.now() % 2_147_483_647,
      singlePauseMs: pace.singlePauseMs,
      bounds: pace.bounds,
      allowed: fault.allowed ?? [],
      problem: (text) => this.problem(text),
    });
  }

  /** Runs a fault to its end. Never throws for what the service does: that is in the figures' problems. */
  static async run(fault: Fault, site: Site, pace: Pace, extent: Fault['short']): Promise<Figures> {
    const cutter = new WriteCutter();
    const server = { host: '127.0.0.1', port: site.cluster.port };
    const proxy = fault.proxied ? await TcpProxy.start(server, { tapOn: cutter.tapOn }) : undefined;
    const services: ServiceProcess[] = [];
    try {
      const url = new URL(site.url);
      if (proxy) url.port = String(proxy.port);
      for (let i = 0; i < (fault.instances ?? 1); i++) {
        const log = join(site.folder, `${fault.name}-${i}.log`);
        services.push(await ServiceProcess.start(environment(url.href, site, pace, fault), log));
      }
      const trial = new Trial(fault, site, proxy, cutter, pace, services, await createTenants(services[0]!));
      return await trial.measure(extent);
    } finally {
      for (const service of services) await service.kill();
      await proxy?.close();
    }
  }

  problem(text: string): void {
    this.problems.set(text, (this.problems.get(text) ?? 0) + 1);
  }

  private async measure(extent: Fault['short']): Promise<Figures> {
    this.load.start();
    try {
      await sleep(this.pace.quietMs);
      this.rssWarm = Math.max(...this.watches.map((watch) => watch.rssMb));
      await this.fault.run(this, extent);
      await sleep(this.pace.quietMs);
    } finally {
      await this.load.stop();
      for (const watch of this.watches) await watch.stop();
    }
    const twice = await this.compare();
    this.check();
    return this.figures(twice);
  }

  /** The dependency goes away and comes back; then everything acknowledged so far is looked for. */
  async outage({ begin, holdMs, end }: Outage): Promise<void> {
    this.times++;
    await begin();
    const away = Date.now();
    await sleep(holdMs);
    const leaving = Date.now();
    await end();
    const recovery = await this.recovered();
    this.recoveries.push(recovery);
    if (recovery > this.pace.recoveryMs) {
      this.problem(`recovered ${Math.round(recovery)} ms after the dependency was back`);
    }
    if (this.fault.readiness === 'away') this.expectAway(away, leaving);
    await this.findAcknowledged();
  }

  /** An instance ends in order and starts again. */
  async restart(instance: number): Promise<void> {
    const service = this.services[instance]!;
    this.times++;
    const began = Date.now();
    const code = await service.terminate(2 * EXIT_MS);
    const ms = Date.now() - began;
    this.exits.push(ms);
    if (code !== 0) this.problem(`an instance ended with ${code}`);
    if (ms > EXIT_MS) this.problem(`an instance took ${ms} ms to end`);
    service.spawn();
    await service.ready();
    while (!this.watches[instance]!.isReady) await sleep(PROBE_EVERY_MS);
    await this.findAcknowledged();
  }

  /** New requests, each on a connection of its own, until one of each kind has succeeded. @returns ms. */
  private async recovered(): Promise<number> {
    const began = performance.now();
    const first = (attempt: () => Promise<unknown>) =>
      new Promise<void>((resolve) => {
        const stop = () => {
          clearInterval(repeated);
          clearTimeout(lost);
          resolve();
        };
        const repeated = setInterval(() => void attempt().then(stop), PROBE_EVERY_MS);
        const lost = setTimeout(stop, LOST_MS);
        void attempt().then(stop);
      });
    await Promise.all([
      first(() => this.load.postOne()),
      first(() => this.load.readOne()),
      ...this.services.map((service) => first(() => this.readyOnce(service))),
    ]);
    return performance.now() - began;
  }

  private async readyOnce(service: ServiceProcess): Promise<void> {
    const { outcome, body } = await ask(service.port, '/readyz', { timeoutMs: LOST_MS });
    if (outcome !== 200 || body.live !== 'ok') await new Promise(() => undefined); // the next one may
  }

  /** Readiness notices in time that the database has gone, and says so until it is back. */
  private expectAway(away: number, leaving: number): void {
    for (const { ready } of this.watches) {
      const meanwhile = ready.filter(({ asked, answered }) => asked >= away && answered <= leaving);
      const noticed = meanwhile.find((sample) => !sample.ready);
      if (noticed) this.notices.push(noticed.answered - away);
      const late = meanwhile.filter(({ asked }) => asked >= away + this.pace.noticeMs);
      if (late.some((sample) => sample.ready)) this.problem('said to be ready without a database');
      if (leaving - away > 2 * this.pace.noticeMs && !noticed) this.problem('never said not to be ready');
    }
  }

  /** Everything acknowledged since the last time is stored, once. */
  private async findAcknowledged(): Promise<void> {
    for (const { tenantId, ids } of this.load.takeAcknowledged()) {
      const { rows } = await this.query<{ id: string; n: number }>(
        `select id, count(e.event_id)::int as n
         from unnest($1::uuid[]) as id
         left join (select event_id from event where tenant_id = $2 and ts >= $3) e on e.event_id = id
         group by id having count(e.event_id) <> 1`,
        [ids, tenantId, new Date(this.from)],
      );
      for (const { id, n } of rows) {
        if (n === 0) this.lost++;
        this.problem(`an acknowledged event is stored ${n} times`);
        if (this.problems.size < 5) console.error(`reliability: ${this.fault.name}: ${id}`);
      }
    }
  }

  /** All that was posted is stored, once, and in the summaries. @returns how many events are stored more than once. */
  private async compare(): Promise<number> {
    await this.findAcknowledged();
    let twice = 0;
    for (const { id, posted, accepted, key } of this.load.tenants) {
      const { rows } = await this.query<{ id: string; n: number; identities: number }>(
        `select event_id as id, count(*)::int as n, known_event($1, event_id)::int as identities
         from event where tenant_id = $1 group by 1`,
        [id],
      );
      const wrong = rows.filter((row) => row.n !== 1 || row.identities !== 1 || !posted.events.has(row.id));
      twice += rows.filter((row) => row.n > 1).length;
      if (wrong.length > 0) this.problem(`${wrong.length} events are not stored once with their identity`);
      const stored = new Set(rows.map((row) => row.id));
      const missing = [...posted.events.keys()].filter((event) => !stored.has(event)).length;
      if (missing > 0) this.problem(`${missing} events are not stored`);
      if (accepted > rows.length) this.problem(`${accepted} events accepted, ${rows.length} stored`);
      await this.compareSummaries({ id, key }, posted);
    }
    const { rows: keys } = await this.query<{ more: number }>(
      'select (select count(*)::int from counted_key) - count(distinct (tenant_id, event_id))::int as more from event',
      [],
    );
    if (keys[0]!.more !== 0) this.problem(`${keys[0]!.more} more ids are known than there are events`);
    return twice;
  }

  private async compareSummaries(
    tenant: { id: string; key: string },
    posted: Load['tenants'][number]['posted'],
  ): Promise<void> {
    const { port } = this.services[0]!;
    const get = async (path: string, key: string) => {
      const { outcome, body } = await ask(port, path, { key, timeoutMs: LOST_MS });
      return { status: Number(outcome), body, headers: new Headers() };
    };
    const to = Math.ceil(Date.now() / 30_000) * 30_000;
    const views = USAGE_VIEWS.filter(({ granularity }) => ['30s', '15m', '1h', '1d'].includes(granularity));
    await expectExact(get, tenant, posted, this.from, to, views).catch((error: Error) =>
      this.problem(`a summary is wrong: ${error.message.slice(0, 500)}`),
    );
  }

  private check(): void {
    for (const watch of this.watches) {
      if (watch.queueMax > this.queueRows) {
        this.problem(`${watch.queueMax} events waited where ${this.queueRows} may`);
      }
      const growth = watch.rssMb - this.rssWarm;
      if (growth > GROWTH_MB) this.problem(`memory has grown by ${Math.round(growth)} MB`);
      if (this.fault.readiness === 'ready' && watch.ready.some((sample) => !sample.ready)) {
        this.problem('said not to be ready though the database was there');
      }
    }
    const expected = [200, ...(this.fault.allowed ?? [])];
    const failed = [...this.load.outcomes].filter(([outcome]) => !expected.includes(outcome));
    if (this.fault.unnoticed && failed.length > 0) {
      this.problem(`requests failed: ${JSON.stringify([...failed, ...this.load.codes])}`);
    }
    if (this.problems.size === 0) return;
    for (const service of this.services) console.error(service.log(20));
  }

  private figures(twice: number): Figures {
    const { load, fault, watches } = this;
    const sorted = this.recoveries.toSorted((a, b) => a - b);
    return {
      fault: fault.name,
      description: fault.description,
      engine: this.site.engine,
      times: this.times,
      requests: load.requests,
      outcomes: Object.fromEntries(load.outcomes),
      codes: Object.fromEntries(load.codes),
      acknowledged: load.tenants.reduce((sum, tenant) => sum + tenant.acknowledged.size, 0),
      lost: this.lost,
      twice,
      longestPost: load.longest.post,
      longestRead: load.longest.read,
      recovery: sorted.length > 0 ? { max: sorted.at(-1)!, p50: sorted[sorted.length >> 1]! } : null,
      noticedMax: this.notices.length > 0 ? Math.max(...this.notices) : null,
      exitMax: this.exits.length > 0 ? Math.max(...this.exits) : null,
      queueMax: Math.max(...watches.map((watch) => watch.queueMax)),
      rssWarm: this.rssWarm,
      rssEnd: Math.max(...watches.map((watch) => watch.rssMb)),
      rssMax: Math.max(...watches.map((watch) => watch.rssMaxMb)),
      problems: [...this.problems].map(([text, count]) => (count > 1 ? `${text} (${count} times)` : text)),
    };
  }

  /** Also right after the server has come back, when the pool may hold a connection that has just died. */
  private async query<Row extends object>(text: string, values: unknown[]): Promise<{ rows: Row[] }> {
    await this.site.databaseAnswers();
    const run = () => this.site.sql.query(text, values) as Promise<{ rows: Row[] }>;
    return run().catch(run);
  }
}

function queueRowsFor(fault: Fault): number {
  return fault.unnoticed ? QUEUE_ROWS.ample : QUEUE_ROWS.small;
}

function environment(url: string, site: Site, pace: Pace, fault: Fault): Record<string, string> {
  return {
    TIDEMARK_PROFILE: 'prod',
    DATABASE_URL: url,
    REDIS_URL: site.redis.url,
    ADMIN_KEY,
    LOG_LEVEL: 'warn',
    INGEST_QUEUE_ROWS: String(queueRowsFor(fault)),
    ...pace.env,
    // Where nothing may fail, nothing is hurried: a busy machine is no fault.
    ...(fault.unnoticed && {
      INGEST_DEADLINE_MS: String(pace.bounds.post - SLACK_MS),
      DB_CONNECT_TIMEOUT_MS: '5000',
      DB_PROBE_TIMEOUT_MS: '5000',
    }),
  };
}

let tenantsMade = 0;

async function createTenants(service: ServiceProcess): Promise<{ id: string; key: string }[]> {
  const admin = async (path: string, body: unknown) => {
    const reply = await ask(service.port, path, { key: ADMIN_KEY, body, timeoutMs: 10_000 });
    if (reply.outcome !== 201) throw new Error(`${path}: ${reply.outcome} ${JSON.stringify(reply.body)}`);
    return reply.body;
  };
  const tenants: { id: string; key: string }[] = [];
  for (let i = 0; i < 2; i++) {
    const id = `reliability-${++tenantsMade}`;
    await admin('/v1/tenants', { id, name: id });
    const { key } = await admin('/v1/keys', { tenantId: id, scopes: ['ingest', 'read'] });
    tenants.push({ id, key });
  }
  return tenants;
}
