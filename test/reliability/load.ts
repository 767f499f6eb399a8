import { Agent } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { BruteForce } from '../support/bruteForce.ts';
import { type ClientEvent, randomEvent, randomFrom } from '../support/traffic.ts';
import { ask, type Outcome, type Reply } from './httpRequest.ts';

/** Clients that post one event at a time; that post BATCH at a time; that read. */
const SINGLES = 4;
const BATCHES = 8;
const READERS = 3;
const BATCH = 100;
/** Pauses between the requests of one client, in ms, where that is not told. */
const PAUSE = { batch: 200, read: 50 };
/** Clients are not more patient than this before they try again, in ms. */
const RETRY_MS = 150;
/** How long clients go on trying after the load has been told to stop, in ms. */
const DELIVERY_MS = 60_000;
const LATE_MS = 2 * 3_600_000;
/** Acknowledged events of which some are posted again. */
const REMEMBERED = 500;

export interface LoadOptions {
  /** Where the next request goes. */
  port(): number;
  tenants: { id: string; key: string }[];
  seed: number;
  /** Between two requests of a client that posts one event at a time, in ms. */
  singlePauseMs: number;
  /** How long a request may take, in ms. */
  bounds: { post: number; read: number };
  /** Outcomes of requests that the fault may cause, beside 200 and 503. */
  allowed: Outcome[];
  /** Told of what must not be. */
  problem(text: string): void;
}

/** A tenant, what was posted for it, and what of that was acknowledged. */
class LoadTenant {
  readonly id: string;
  readonly key: string;
  /** Everything posted: when the load has ended, everything has been acknowledged. */
  readonly posted = new BruteForce();
  readonly acknowledged = new Set<string>();
  /** Acknowledged since `takeAcknowledged` was asked last. */
  fresh: string[] = [];
  readonly recent: ClientEvent[] = [];
  /** Events that the service says it has stored for the first time. */
  accepted = 0;

  constructor({ id, key }: { id: string; key: string }) {
    this.id = id;
    this.key = key;
  }
}

/**
 * Clients over HTTP, each on a connection of its own, that do as the documentation tells them: a request that is not
 * acknowledged is sent again with the same ids until it is.
 */
export class Load {
  readonly tenants: LoadTenant[];
  readonly outcomes = new Map<Outcome, number>();
  /** Why requests were refused. */
  readonly codes = new Map<string, number>();
  /** Longest request of each kind, in ms. */
  readonly longest = { post: 0, read: 0 };
  private readonly options: LoadOptions;
  private readonly random: () => number;
  private readonly agents: Agent[] = [];
  private clients: Promise<unknown>[] = [];
  private stopping = false;
  private giveUpAt = Number.POSITIVE_INFINITY;

  constructor(options: LoadOptions) {
    this.options = options;
    this.tenants = options.tenants.map((tenant) => new LoadTenant(tenant));
    this.random = randomFrom(options.seed);
  }

  get requests(): number {
    return [...this.outcomes.values()].reduce((sum, count) => sum + count, 0);
  }

  start(): void {
    const repeat = (clients: number, pauseMs: number, work: (agent: Agent) => Promise<unknown>) => {
      for (let i = 0; i < clients; i++) this.clients.push(this.client(pauseMs, work));
    };
    repeat(SINGLES, this.options.singlePauseMs, (agent) => this.postSome(1, agent));
    repeat(BATCHES, PAUSE.batch, (agent) => this.postSome(BATCH, agent));
    repeat(READERS, PAUSE.read, (agent) => this.read(agent));
  }

  /** Lets every client finish: resolves when everything posted has been acknowledged. */
  async stop(): Promise<void> {
    this.stopping = true;
    this.giveUpAt = Date.now() + DELIVERY_MS;
    await Promise.all(this.clients);
    for (const agent of this.agents) agent.destroy();
  }

  /** What was acknowledged since the last time, by tenant. */
  takeAcknowledged(): { tenantId: string; ids: string[] }[] {
    return this.tenants.map((tenant) => {
      const ids = tenant.fresh;
      tenant.fresh = [];
      return { tenantId: tenant.id, ids };
    });
  }

  /** Posts one new event on a connection of its own; resolves when it has been acknowledged. */
  postOne(): Promise<void> {
    const delivery = this.postSome(1);
    this.clients.push(delivery);
    return delivery;
  }

  /** Reads until an answer is 200, on connections of its own. */
  async readOne(): Promise<void> {
    const reading = (async () => {
      while (!this.stopping && (await this.read()).outcome !== 200) await this.retryPause();
    })();
    this.clients.push(reading);
    await reading;
  }

  private async client(pauseMs: number, work: (agent: Agent) => Promise<unknown>): Promise<void> {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    this.agents.push(agent);
    await sleep(this.random() * pauseMs);
    while (!this.stopping) {
      await work(agent);
      await sleep(pauseMs * (0.5 + this.random()));
    }
  }

  private async postSome(count: number, agent?: Agent): Promise<void> {
    const tenant = this.tenants[Math.floor(this.random() * this.tenants.length)]!;
    const events = Array.from({ length: count }, () => this.event(tenant));
    if (count > 1 && this.random() < 0.1) events.push({ ...events[0]! });
    tenant.posted.add(events);
    for (;;) {
      const { outcome, body } = await this.send('post', '/v1/events', tenant.key, agent, events);
      if (outcome === 200) return this.acknowledge(tenant, events, body);
      if (Date.now() > this.giveUpAt) {
        return this.options.problem(`never acknowledged; the last outcome was ${outcome}`);
      }
      await this.retryPause();
    }
  }

  /** Now, late, or one that was acknowledged before, with another time. */
  private event(tenant: LoadTenant): ClientEvent {
    const now = Date.now();
    const late = this.random() < 0.05 ? LATE_MS : 2_000;
    const event = randomEvent(this.random, now - late, now);
    const known = this.random() < 0.03 ? tenant.recent : [];
    const again = known[Math.floor(this.random() * known.length)];
    return again ? { ...event, eventId: again.eventId } : event;
  }

  private acknowledge(
    tenant: LoadTenant,
    events: ClientEvent[],
    body: { accepted: number; duplicates: number },
  ): void {
    if (body.accepted + body.duplicates !== events.length) {
      this.options.problem(`${events.length} events were answered with ${JSON.stringify(body)}`);
    }
    tenant.accepted += body.accepted;
    for (const { eventId } of events) {
      if (tenant.acknowledged.has(eventId)) continue;
      tenant.acknowledged.add(eventId);
      tenant.fresh.push(eventId);
    }
    tenant.recent.push(events[0]!);
    if (tenant.recent.length > REMEMBERED) tenant.recent.shift();
  }

  private read(agent?: Agent): Promise<Reply> {
    const tenant = this.tenants[Math.floor(this.random() * this.tenants.length)]!;
    const now = Date.now();
    const range = (ms: number) =>
      `from=${new Date(now - ms).toISOString()}&to=${new Date(now + 60_000).toISOString()}`;
    const paths = [
      `/v1/windows?${range(120_000)}&limit=50`,
      `/v1/usage?${range(7_200_000)}&granularity=1h&groupBy=customer`,
      '/v1/live',
    ];
    return this.send('read', paths[Math.floor(this.random() * paths.length)]!, tenant.key, agent);
  }

  private async send(
    kind: 'post' | 'read',
    path: string,
    key: string,
    agent: Agent | undefined,
    body?: unknown,
  ): Promise<Reply> {
    const { bounds, allowed, problem, port } = this.options;
    const reply = await ask(port(), path, {
      ...{ key, agent, timeoutMs: 2 * bounds[kind] },
      ...(body !== undefined && { body }),
    });
    const { outcome, ms } = reply;
    this.outcomes.set(outcome, (this.outcomes.get(outcome) ?? 0) + 1);
    const { code } = reply.body ?? {};
    if (code !== undefined) this.codes.set(code, (this.codes.get(code) ?? 0) + 1);
    if (ms > this.longest[kind]) this.longest[kind] = ms;
    const what = `${kind} ${path.split('?')[0]}`;
    if (ms > bounds[kind]) problem(`${what} took longer than it may (${outcome})`);
    if (outcome !== 200 && outcome !== 503 && !allowed.includes(outcome)) {
      problem(`${what} ended with ${outcome} ${code ?? ''}`);
    }
    return reply;
  }

  private retryPause(): Promise<void> {
    return sleep(RETRY_MS * (0.3 + 0.7 * this.random()));
  }
}
