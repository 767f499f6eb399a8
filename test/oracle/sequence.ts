import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import { createKey } from '../../src/access/tenancy/keys.ts';
import type { BruteEvent } from '../support/bruteCosts.ts';
import { BruteForce } from '../support/bruteForce.ts';
import { type Ask, allPages, expectExact, USAGE_VIEWS } from '../support/compareSummaries.ts';
import { iso, type MeterEvent, microsOf, randomDocument } from '../support/meterModel.ts';
import { byTime, changeOf, changesBetween } from '../support/pastModel.ts';
import { randomUsage } from '../support/randomCosts.ts';
import type { Answer } from '../support/service.ts';
import { type ClientEvent, randomEvent, randomFrom } from '../support/traffic.ts';
import type { World } from '../support/world.ts';
import { type BackfillPlan, TenantBackfills } from './backfills.ts';
import { TenantCosts } from './costs.ts';
import { expectMessages } from './messages.ts';
import { TenantMeters } from './meters.ts';
import type { EventPlan, Operation, Step } from './operations.ts';
import { readPages } from './readPages.ts';

const WINDOW = 30_000;
const HOUR = 3_600_000;
/** Events stay around this at the latest after a sequence began: a series of windows reaches over 83 hours at most. */
const MOST_CLOSED = 29 * HOUR;
/** What `state=` asks for, and the states of what it finds. */
const STATES = [
  { name: 'open', holds: ['open'] },
  { name: 'closed', holds: ['closed', 'revised'] },
  { name: 'revised', holds: ['revised'] },
];
/** How often a read is tried right after sessions were killed. */
const READ_TRIES = 5;
/** Moments of a tenant that may be asked for later. */
const MOST_REMEMBERED = 8;
const CUSTOMERS = ['alice', 'Zoë', "o'neil", '客户'];

// biome-ignore lint/suspicious/noExplicitAny: as served
type Window = any;

let sequences = 0;
let corrections = 0;

/** Everything that a sequence may have written, in ms. @param base where windows were closed when it began. */
function spanFrom(base: number): { from: number; to: number } {
  return { from: base - 25 * HOUR, to: base + MOST_CLOSED + 25 * HOUR };
}

/** A tenant of one sequence, and what must be true of it. */
class Tenant {
  readonly id: string;
  readonly key: string;
  /** Whether it wants to hear of its windows. */
  readonly subscribed: boolean;
  /** Acknowledged events, and those of refused requests that turned out to be stored. */
  readonly model = new BruteForce();
  /** Every event posted, in order. */
  readonly posted: ClientEvent[] = [];
  readonly meters: TenantMeters;
  readonly costs: TenantCosts;
  readonly backfills: TenantBackfills;
  /** The events of the model, as costs see them. */
  usage: BruteEvent[] = [];
  /** Windows as they were last served while closed, by start and customer. */
  readonly closed = new Map<string, Window>();
  /** What counted at moments (µs) when nothing was under way. */
  readonly past: { at: number; model: BruteForce }[] = [];
  /** What a client that polls for closed windows has. */
  readonly polled = new Map<string, Window>();
  /** Ids of events that the step at hand corrects: whether they count, and where, is not known before it has ended. */
  readonly unsteady = new Set<string>();
  polledThrough: string;

  /** @param span where all its events are, in ms. */
  constructor(
    { id, key, subscribed, polledThrough }: Pick<Tenant, 'id' | 'key' | 'subscribed' | 'polledThrough'>,
    span: { from: number; to: number },
  ) {
    this.id = id;
    this.key = key;
    this.subscribed = subscribed;
    this.polledThrough = polledThrough;
    this.meters = new TenantMeters(key, span);
    this.costs = new TenantCosts(key, span);
    this.backfills = new TenantBackfills(id, this.model);
  }

  /** These are stored. */
  add(events: ClientEvent[]): void {
    this.model.add(events);
    this.countAnew();
  }

  /** This has been done. */
  correct({ kind, ids, versions }: Correction): void {
    if (kind === 'void') this.model.void(ids);
    else if (kind === 'restore') this.model.restore(ids);
    else this.model.amend(versions);
    this.countAnew();
  }

  /** What the model has may have changed. */
  countAnew(): void {
    const counted = [...this.model.events.values()];
    this.meters.model.replace(counted.map(meteredOf));
    this.usage = counted.map(usageOf);
  }

  /** A window served as closed never differs later without a higher revision. */
  observe(windows: Window[], ordered: boolean): void {
    for (const window of windows) {
      const key = keyOf(window);
      const before = this.closed.get(key);
      if (before && ordered) {
        expect(window.state, key).not.toBe('open');
        expect(window.revision, key).toBeGreaterThanOrEqual(before.revision);
      }
      if (window.state === 'open') continue;
      expect(window.state, key).toBe(window.revision > 0 ? 'revised' : 'closed');
      if (before?.revision === window.revision) expect(window, key).toEqual(before);
      if (!before || window.revision > before.revision) this.closed.set(key, window);
    }
  }
}

/** An event as meters see it. */
function meteredOf(event: ClientEvent): MeterEvent {
  return { ...event, eventType: event.eventType ?? 'api.request' };
}

/** An event as costs see it. */
function usageOf({
  timestamp,
  customerId,
  eventType = 'api.request',
  apiEndpoint,
  metadata,
}: ClientEvent): BruteEvent {
  return { micros: microsOf(timestamp), customerId, eventType, apiEndpoint, metadata };
}

function keyOf(window: Window): string {
  return `${window.windowStart} ${window.customerId}`;
}

/** What a step does to events that are settled. */
interface Correction {
  kind: 'void' | 'restore' | 'amend';
  ids: string[];
  /** Of an amendment. */
  versions: ClientEvent[];
  /** By which it is known. */
  reason: string;
}

/** A correction that was not acknowledged. */
interface UnsureCorrection {
  tenant: Tenant;
  correction: Correction;
}

/** A request that was not acknowledged. */
interface Unsure {
  tenant: Tenant;
  events: ClientEvent[];
}

/** One run of steps on tenants of its own, at times that no other sequence uses. */
export class Sequence {
  private readonly world: World;
  private readonly tenants: Tenant[];
  /** Where windows were closed when it began, in ms. */
  private readonly base: number;
  /** The same when the step at hand began. */
  private frontier: number;
  private unsure: Unsure[] = [];
  private unsureCorrections: UnsureCorrection[] = [];
  /** What the step at hand corrects. */
  private planned = new Map<Operation, Correction>();
  private plannedBackfills = new Map<Operation, BackfillPlan>();
  private random = randomFrom(1);

  private constructor(world: World, tenants: Tenant[], base: number) {
    this.world = world;
    this.tenants = tenants;
    this.base = base;
    this.frontier = base;
  }

  static async begin(world: World, tenants: number): Promise<Sequence> {
    const base = await world.closedUntil();
    const { rows } = await world.sql.query('select settled_at from window_state');
    const made: Tenant[] = [];
    for (let i = 0; i < tenants; i++) {
      const id = `sequence-${++sequences}`;
      await world.sql.query('insert into tenant (id, name) values ($1, $1)', [id]);
      const { key } = await createKey(world.sql, {
        tenantId: id,
        scopes: ['ingest', 'read', 'correct', 'admin'],
      });
      if (i === 0) {
        await world.sql.query(
          `insert into subscription (tenant_id, message_types, stream) values ($1, $2, 'messages')`,
          [id, ['window.closed', 'window.revised']],
        );
      }
      const polledThrough = rows[0].settled_at.toISOString();
      made.push(new Tenant({ id, key, subscribed: i === 0, polledThrough }, spanFrom(base)));
    }
    return new Sequence(world, made, base);
  }

  async run(steps: Step[]): Promise<void> {
    for (const [i, step] of steps.entries()) {
      this.frontier = await this.world.closedUntil();
      this.random = randomFrom(i * 7_919 + JSON.stringify(step).length);
      this.planCorrections(step);
      await Promise.all(step.map((operation) => this.perform(operation)));
      await this.world.settled();
      await this.settleBackfills();
      await this.settleUnsure();
      await this.settleCorrections();
      await this.remember();
      for (const { meters, costs } of this.tenants) {
        await meters.settle(this.ask());
        await costs.settle(this.ask());
      }
      await this.compare(this.tenants[Math.floor(this.random() * this.tenants.length)]!, 2);
    }
    await this.end();
  }

  private instance(i: number) {
    return this.world.instances[i]!;
  }

  private async perform(operation: Operation): Promise<void> {
    switch (operation.do) {
      case 'post':
        return this.post(operation.instance, this.tenants[operation.tenant]!, operation.events);
      case 'correct':
        return this.correct(operation);
      case 'backfill':
        return this.backfill(operation);
      case 'read':
        return this.read(operation.instance, this.tenants[operation.tenant]!);
      case 'close': {
        await sleep(operation.afterMs);
        const instance = this.instance(operation.instance);
        await instance.order({ do: 'close', untilMs: this.frontier + operation.windows * WINDOW });
        if (operation.thenRefresh) await instance.order({ do: 'refresh' });
        return;
      }
      case 'refresh':
        return this.instance(operation.instance).order({ do: 'refresh' });
      case 'pack':
        if (this.world.database.engine !== 'timescale') return; // the columnstore is TimescaleDB's
        return this.instance(operation.instance).order({ do: 'pack', chunks: operation.chunks });
      case 'make meters': {
        await sleep(operation.afterMs);
        const { meters } = this.tenants[operation.tenant]!;
        const instance = this.instance(operation.instance);
        await Promise.all(operation.seeds.map((seed) => meters.make(instance, seed)));
        return;
      }
      case 'add dimension':
        await sleep(operation.afterMs);
        return this.tenants[operation.tenant]!.meters.addDimension(
          this.instance(operation.instance),
          operation.seed,
        );
      case 'archive meter':
        await sleep(operation.afterMs);
        return this.tenants[operation.tenant]!.meters.archive(
          this.instance(operation.instance),
          operation.seed,
        );
      case 'read meter': {
        await sleep(operation.afterMs);
        const { meters, posted, unsteady } = this.tenants[operation.tenant]!;
        return meters.readMeanwhile(
          this.instance(operation.instance),
          operation.seed,
          () => posted.map(meteredOf),
          unsteady,
        );
      }
      case 'put prices':
        await sleep(operation.afterMs);
        return this.tenants[operation.tenant]!.costs.put(this.instance(operation.instance), operation.seeds);
      case 'end price':
        await sleep(operation.afterMs);
        return this.tenants[operation.tenant]!.costs.end(this.instance(operation.instance), operation.seed);
      case 'read costs': {
        await sleep(operation.afterMs);
        const { costs, model, posted, unsteady } = this.tenants[operation.tenant]!;
        const steady = [...model.events.values()].filter(({ eventId }) => !unsteady.has(eventId));
        return costs.readMeanwhile(
          this.instance(operation.instance),
          operation.seed,
          steady.map(usageOf),
          () => posted.map(usageOf),
        );
      }
      case 'fold':
        await sleep(operation.afterMs);
        return this.instance(operation.instance).order({ do: 'fold', parts: operation.parts });
      case 'fill': {
        const { windows, steps } = operation;
        return this.instance(operation.instance).order({ do: 'fill', spanMs: windows * WINDOW, steps });
      }
      case 'kill':
        await sleep(operation.afterMs);
        return this.instance(operation.instance).kill();
      case 'freeze':
        return this.freeze(operation.instance, operation.ms);
      case 'kill backends':
        await sleep(operation.afterMs);
        return this.world.killBackends(operation.share);
      case 'hold batches':
        return this.world.holdBatches(operation.ms);
      case 'lose redis':
        return this.world.loseRedis();
    }
  }

  private async post(instance: number, tenant: Tenant, plans: EventPlan[]): Promise<void> {
    // An event is repeated at another time only once it is settled which of the two came first.
    const settled = [...tenant.model.events.values(), ...tenant.model.voided.values()];
    const events = plans.map((plan) => {
      const event = this.eventOf(plan);
      const original = plan.repeats === null ? undefined : settled[plan.repeats % (settled.length || 1)];
      return original ? { ...event, eventId: original.eventId } : event;
    });
    tenant.posted.push(...events);
    const answer = await this.instance(instance).call('POST', '/v1/events', tenant.key, events);
    if (answer?.status === 200) {
      const before = tenant.model.events.size;
      tenant.add(events);
      expect(answer.body.accepted + answer.body.duplicates).toBe(events.length);
      expect(answer.body.accepted).toBe(tenant.model.events.size - before);
    } else {
      if (answer) expect(answer.status, JSON.stringify(answer.body)).toBe(503);
      this.unsure.push({ tenant, events });
    }
  }

  /** Which events the step corrects, one call for a tenant: they are settled, and nothing else changes them in it. */
  private planCorrections(step: Step): void {
    this.planned = new Map();
    this.plannedBackfills = new Map();
    for (const tenant of this.tenants) tenant.unsteady.clear();
    const busy = new Set<Tenant>();
    for (const operation of step) {
      if (operation.do !== 'correct' && operation.do !== 'backfill') continue;
      const tenant = this.tenants[operation.tenant]!;
      if (busy.has(tenant)) continue;
      if (operation.do === 'backfill') {
        const plan = this.planBackfill(operation, tenant, step);
        if (plan === null) continue;
        busy.add(tenant);
        this.plannedBackfills.set(operation, plan);
        for (const { eventId } of plan.unsteady) tenant.unsteady.add(eventId);
        if (plan.kind !== 'stage') tenant.posted.push(...plan.unsteady);
        continue;
      }
      const random = randomFrom(operation.seed);
      const from = operation.kind === 'restore' ? tenant.model.voided : tenant.model.events;
      const ids = [...from.keys()].sort(() => random() - 0.5).slice(0, operation.events);
      if (ids.length === 0) continue;
      const versions =
        operation.kind === 'amend'
          ? ids.map((eventId, i) => ({
              ...this.eventOf(operation.plans[i % operation.plans.length]!),
              eventId,
            }))
          : [];
      const reason = `correction ${++corrections}`;
      busy.add(tenant);
      this.planned.set(operation, { kind: operation.kind, ids, versions, reason });
      for (const id of ids) tenant.unsteady.add(id);
      tenant.posted.push(...versions);
    }
  }

  private planBackfill(
    { kind, plans, replaces, ofCustomers, seed }: Operation & { do: 'backfill' },
    tenant: Tenant,
    step: Step,
  ): BackfillPlan | null {
    if (kind !== 'stage') {
      const posting = step.some((other) => other.do === 'post' && this.tenants[other.tenant] === tenant);
      return tenant.backfills.plan(kind, seed, posting);
    }
    const settled = [...tenant.model.events.values(), ...tenant.model.voided.values()];
    const events = plans.map((plan) => {
      const event = this.eventOf(plan);
      const original = plan.repeats === null ? undefined : settled[plan.repeats % (settled.length || 1)];
      return original ? { ...event, eventId: original.eventId } : event;
    });
    return tenant.backfills.planned(events, replaces, ofCustomers);
  }

  private async backfill(operation: Operation & { do: 'backfill' }): Promise<void> {
    const plan = this.plannedBackfills.get(operation);
    if (!plan) return;
    await sleep(operation.afterMs);
    const tenant = this.tenants[operation.tenant]!;
    const instance = this.instance(operation.instance);
    await tenant.backfills.perform(plan, (method, path, body) =>
      instance.call(method, path, tenant.key, body),
    );
    tenant.countAnew();
  }

  private async settleBackfills(): Promise<void> {
    for (const tenant of this.tenants) {
      await tenant.backfills.settle(this.world.sql);
      tenant.countAnew();
    }
  }

  private async correct(operation: Operation & { do: 'correct' }): Promise<void> {
    const correction = this.planned.get(operation);
    if (!correction) return;
    await sleep(operation.afterMs);
    const tenant = this.tenants[operation.tenant]!;
    const { kind, ids, versions, reason } = correction;
    const body = { reason, ...(kind === 'amend' ? { events: versions } : { ids }) };
    const path = `/v1/events/${kind}`;
    const answer = await this.instance(operation.instance).call('POST', path, tenant.key, body);
    if (answer?.status === 200) {
      expect([answer.body.events, answer.body.unknown]).toEqual([ids.length, []]);
      tenant.correct(correction);
    } else {
      if (answer) expect(answer.status, JSON.stringify(answer.body)).toBe(503);
      this.unsureCorrections.push({ tenant, correction });
    }
  }

  /** What was not acknowledged is done wholly or not at all. */
  private async settleCorrections(): Promise<void> {
    for (const { tenant, correction } of this.unsureCorrections) {
      const { rows } = await this.world.sql.query(
        'select events from correction where tenant_id = $1 and reason = $2',
        [tenant.id, correction.reason],
      );
      expect(rows, 'done twice').toEqual(rows.slice(0, 1));
      if (rows[0]) {
        expect(rows[0].events).toBe(correction.ids.length);
        tenant.correct(correction);
      }
    }
    this.unsureCorrections = [];
  }

  private async freeze(instance: number, ms: number): Promise<void> {
    const resume = await this.instance(instance).freeze();
    await sleep(ms);
    resume();
  }

  private eventOf(plan: EventPlan): ClientEvent {
    const start = Math.min(this.frontier, this.base + MOST_CLOSED) + plan.window * WINDOW;
    const at = plan.at === 'start' ? 0 : plan.at === 'end' ? WINDOW - 1 : Math.floor(plan.at * WINDOW);
    const micros =
      plan.at === 'start' ? '000' : plan.at === 'end' ? '999' : String(plan.seed % 1_000).padStart(3, '0');
    const random = randomFrom(plan.seed);
    const event = randomEvent(random, start, start + WINDOW);
    const usage = random() < 0.6 ? randomUsage(random) : {};
    const document = JSON.parse(JSON.stringify({ ...randomDocument(random), ...usage }));
    // The same plan is another event each time.
    const id = createHash('sha256').update(`${plan.seed} ${Math.random()}`).digest('hex');
    return {
      ...event,
      eventId: `${id.slice(0, 8)}-${id.slice(8, 12)}-4${id.slice(13, 16)}-8${id.slice(17, 20)}-${id.slice(20, 32)}`,
      timestamp: new Date(start + at).toISOString().replace('Z', `${micros}Z`),
      customerId: CUSTOMERS[plan.customer]!,
      metadata: { ...event.metadata, ...document },
    };
  }

  /** While others write and close: nothing acknowledged before is missing, and nothing is there that nobody posted. */
  private async read(instance: number, tenant: Tenant): Promise<void> {
    const acknowledged = [...tenant.model.events.values()];
    const path = `/v1/windows?${this.range()}&limit=1000`;
    const windows = await readPages<Window>(this.instance(instance), path, tenant.key);
    if (windows === null) return;
    const steady = acknowledged.filter(({ eventId }) => !tenant.unsteady.has(eventId));
    const least = countsOf(steady);
    const most = countsOf([...acknowledged, ...tenant.posted]);
    const found = new Map(windows.map((window) => [keyOf(window), window.aggregations.totalCalls]));
    for (const [key, count] of least) expect(found.get(key) ?? 0, key).toBeGreaterThanOrEqual(count);
    for (const [key, count] of found) expect(count, key).toBeLessThanOrEqual(most.get(key) ?? 0);
    tenant.observe(windows, false);
  }

  /** What was not acknowledged is stored wholly or not at all. */
  private async settleUnsure(): Promise<void> {
    for (const { tenant, events } of this.unsure) {
      const fresh = events.filter(
        ({ eventId }) => !tenant.model.events.has(eventId) && !tenant.model.voided.has(eventId),
      );
      const ids = [...new Set(fresh.map((event) => event.eventId))];
      const { rows } = await this.world.sql.query(
        'select event_id from event where tenant_id = $1 and event_id = any ($2::uuid[])',
        [tenant.id, ids],
      );
      expect([0, ids.length], 'stored in part').toContain(rows.length);
      if (rows.length > 0) tenant.add(fresh);
    }
    this.unsure = [];
  }

  /** What counts while nothing is under way, to be asked for later. */
  private async remember(): Promise<void> {
    const { rows } = await this.world.sql.query(
      'select (extract(epoch from clock_timestamp()) * 1000000)::bigint as micros',
    );
    for (const { past, model } of this.tenants) {
      past.push({ at: Number(rows[0].micros), model: model.copy() });
      if (past.length > MOST_REMEMBERED) past.splice(Math.floor(this.random() * past.length), 1);
    }
  }

  /** As of moments that have settled, an answer is what it was, and what is told to have changed between two is. */
  private async compareAsOf(tenant: Tenant): Promise<void> {
    const { rows } = await this.world.sql.query(
      'select (extract(epoch from max(closed_at)) * 1000000)::bigint as micros from window_closing',
    );
    const settled = tenant.past.filter(({ at }) => at <= Number(rows[0].micros));
    if (settled.length === 0) return;
    const { from, to } = spanFrom(this.base);
    const anyOf = <T>(values: readonly T[]): T => values[Math.floor(this.random() * values.length)]!;
    const { at, model } = anyOf(settled);
    const views = [anyOf(USAGE_VIEWS)];
    await expectExact(this.ask(), tenant, model, from, to, views, 'fine', iso(at));
    const counted = [...model.events.values()].map(meteredOf);
    await tenant.meters.compareAsOf(this.ask(), this.random, iso(at), counted);

    const other = anyOf(settled);
    const [since, until] = other.at < at ? [other, { at, model }] : [{ at, model }, other];
    const path = `/v1/usage/changes?since=${iso(since.at)}&until=${iso(until.at)}&limit=1000`;
    const start = Math.max(from, Math.floor(from + this.random() * (to - from) * 0.3));
    const range = `&from=${new Date(start).toISOString()}&to=${new Date(to).toISOString()}`;
    const changes = await allPages(this.ask(), path + range, tenant.key);
    const found = changes.map((change) => changeOf(change, change.counts)).sort(byTime);
    expect(found).toEqual(changesBetween(since.model, until.model, start, to));
    const { body } = await this.ask()(`${path.replace('1000', '1')}${range}`, tenant.key);
    expect([body.since, body.until]).toEqual([iso(since.at), iso(until.at)]);
    const calls = changes.reduce((sum, { difference }) => sum + difference.calls, 0);
    expect(body.difference.calls).toBe(calls);
  }

  /** Everything a sequence may have written, in a query string. */
  private range(): string {
    const { from, to } = spanFrom(this.base);
    return `from=${new Date(from).toISOString()}&to=${new Date(to).toISOString()}`;
  }

  private ask(): Ask {
    const instance = this.instance(Math.floor(this.random() * this.world.instances.length));
    return async (path, key) => {
      // A session that was killed a moment ago may be noticed only now.
      for (let tries = 1; ; tries++) {
        const answer = await instance.call('GET', path, key);
        if (answer !== null && (answer.status !== 503 || tries === READ_TRIES)) return answer;
        if (tries === READ_TRIES) throw new Error(`no answer to GET ${path}`);
        await sleep(20);
      }
    };
  }

  private async compare(tenant: Tenant, views: number): Promise<void> {
    const { from, to } = spanFrom(this.base);
    const some = USAGE_VIEWS.toSorted(() => this.random() - 0.5);
    const windows = await expectExact(this.ask(), tenant, tenant.model, from, to, some.slice(0, views));
    tenant.observe(windows, true);
    const start = Math.floor(from + this.random() * (to - from));
    const end = Math.floor(start + 1 + this.random() * (to - start));
    await expectExact(this.ask(), tenant, tenant.model, start, end, some.slice(0, 1));
    const state = STATES[Math.floor(this.random() * STATES.length)]!;
    const path = `/v1/windows?${this.range()}&state=${state.name}&limit=50`;
    const found = await allPages(this.ask(), path, tenant.key);
    expect(found, state.name).toEqual(windows.filter((window) => state.holds.includes(window.state)));
    await this.poll(tenant);
    await this.compareAsOf(tenant);
    const closed = await this.world.closedUntil();
    await tenant.meters.compare(this.ask(), this.random, views, windows, closed);
    await tenant.costs.compare(this.ask(), this.random, Math.ceil(views / 2), tenant.usage);
  }

  /** As a client that keeps a copy of every closed window. */
  private async poll(tenant: Tenant): Promise<void> {
    let cursor: string | null = null;
    let through = '';
    do {
      const path: string = `/v1/windows?closedAfter=${tenant.polledThrough}&limit=7${cursor ? `&cursor=${cursor}` : ''}`;
      const { status, body }: Answer = await this.ask()(path, tenant.key);
      expect(status, JSON.stringify(body)).toBe(200);
      for (const window of body.data) {
        const key = keyOf(window);
        expect(window.state, key).not.toBe('open');
        const before = tenant.polled.get(key);
        if (before?.revision === window.revision) expect(window, key).toEqual(before);
        expect(window.revision, key).toBeGreaterThanOrEqual(before?.revision ?? 0);
        tenant.polled.set(key, window);
      }
      cursor = body.nextCursor;
      through = body.closedThrough;
    } while (cursor);
    tenant.polledThrough = through;
  }

  /** Once all is closed and refreshed, the rollups alone, the polling client and the outbox say the same. */
  private async end(): Promise<void> {
    const { world } = this;
    const until = Math.max(await world.closedUntil(), this.base) + WINDOW;
    for (let rounds = 0; (await this.unfinished(until)) && rounds < 500; rounds++) {
      if ((await world.closedUntil()) < until) await this.instance(0).order({ do: 'close', untilMs: until });
      const instance = this.instance(rounds % world.instances.length);
      await instance.order({ do: 'refresh' });
      await instance.order({ do: 'fold', parts: 100_000 });
      await instance.order({ do: 'fill', spanMs: 365 * 24 * HOUR, steps: 100 });
    }
    expect(await this.unfinished(until), 'the rollups do not catch up').toBe(false);
    for (const tenant of this.tenants) {
      await this.compare(tenant, USAGE_VIEWS.length);
      for (const rollup of ['usage_30s', 'usage_1h', 'usage_1d']) {
        const { rows } = await world.sql.query(
          `select coalesce(sum(calls), 0)::int as calls from ${rollup} where tenant_id = $1`,
          [tenant.id],
        );
        expect(rows[0].calls, rollup).toBe(tenant.model.events.size);
      }
      const windows = await allPages(
        this.ask(),
        `/v1/windows?${this.range()}&state=closed&limit=1000`,
        tenant.key,
      );
      const mine = windows.filter(
        (w) => tenant.polled.has(keyOf(w)) || Date.parse(w.windowStart) >= this.base,
      );
      expect([...tenant.polled.values()].sort(byKey)).toEqual(mine.sort(byKey));
      expect(windows.length, 'a late window was not polled').toBe(mine.length);
      await expectMessages(world.sql, tenant, windows);
      await tenant.meters.expectLevels(world.sql);
      await tenant.costs.expectLevels(world.sql, tenant.id, tenant.usage);
    }
  }

  private async unfinished(until: number): Promise<boolean> {
    const rollups =
      this.world.database.engine === 'timescale'
        ? // Of a window that is open a correction is seen without a refresh.
          'refreshed_30s < closed_until or exists (select from late_window where stale and bucket < closed_until)'
        : '(select folded_until from usage_fold) < closed_until';
    const { rows } = await this.world.sql.query(
      `select closed_until < $1 or announced_until < closed_until or ${rollups}
         or members_1d_until + interval '1 day' <= closed_until
         or exists (select from meter_series where retired_at is null and filled_from > fill_floor)
         or exists (select from meter_part where bucket < closed_until) as unfinished
       from window_state, window_announcement, meter_fold`,
      [new Date(until)],
    );
    return rows[0].unfinished;
  }
}

function byKey(a: Window, b: Window): number {
  return keyOf(a) < keyOf(b) ? -1 : 1;
}

/** Events per window and customer. */
function countsOf(events: ClientEvent[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { timestamp, customerId } of events) {
    const start = Math.floor(Date.parse(timestamp) / WINDOW) * WINDOW;
    const key = `${new Date(start).toISOString()} ${customerId}`;
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  return counts;
}
