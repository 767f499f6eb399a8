import type pg from 'pg';
import { expect } from 'vitest';
import { type Ask, allPages } from '../support/compareSummaries.ts';
import { type MeterEvent, MeterModel, type ModelMeter, microsOf } from '../support/meterModel.ts';
import {
  expectMeter,
  expectMeterValues,
  type MeterQueryCase,
  randomMeterQuery,
  type ServedPoint,
} from '../support/meterQueries.ts';
import { randomMeter, withDimension } from '../support/randomMeters.ts';
import { randomFrom } from '../support/traffic.ts';
import type { Instance } from '../support/world.ts';
import { readPages } from './readPages.ts';

/** Most events of the oracle are of the first. */
const EVENT_TYPES = ['api.request', 'api.request', 'api.request', 'click', 'positive'];
const WINDOW_MICROS = 30_000_000;
/** `late_window` of a customer, as served in windows. */
export interface ServedWindow {
  windowStart: string;
  customerId: string;
  revision: number;
}

/** A change that was not answered: what the meter is if it has been made, null where it is archived by it. */
interface UnsureChange {
  slug: string;
  after: ModelMeter | null;
}

let slugs = 0;

/** The meters of a tenant of a sequence, and what must be true of them. */
export class TenantMeters {
  /** Of all acknowledged events. */
  readonly model = new MeterModel();
  private readonly key: string;
  private readonly span: { from: number; to: number };
  private readonly live = new Map<string, ModelMeter>();
  private readonly archived: string[] = [];
  private unsure: UnsureChange[] = [];
  /** Those that the step at hand changes already. */
  private readonly busy = new Set<string>();

  /** @param span where all events are, in ms. */
  constructor(key: string, span: { from: number; to: number }) {
    this.key = key;
    this.span = span;
  }

  get count(): number {
    return this.live.size;
  }

  async make(instance: Instance, seed: number): Promise<void> {
    const slug = `meter_${++slugs}`;
    const meter = randomMeter(randomFrom(seed), slug, EVENT_TYPES, this.span, [...this.live.values()]);
    await this.change(instance, 'POST', '/v1/meters', meter.body, 201, { slug, after: meter });
  }

  async addDimension(instance: Instance, seed: number): Promise<void> {
    const random = randomFrom(seed);
    const before = this.pick(random);
    const added = before && withDimension(random, before);
    if (!added) return;
    const { slug } = before.body;
    this.busy.add(slug);
    const body = { dimensions: { [added.name]: added.path } };
    const change = { slug, after: added.meter };
    await this.change(instance, 'PATCH', `/v1/meters/${slug}`, body, 200, change);
  }

  async archive(instance: Instance, seed: number): Promise<void> {
    const meter = this.pick(randomFrom(seed));
    if (!meter) return;
    const { slug } = meter.body;
    this.busy.add(slug);
    await this.change(instance, 'DELETE', `/v1/meters/${slug}`, undefined, 204, { slug, after: null });
  }

  /**
   * While others write, fold, fill and close: no event is missing that was acknowledged before, and none is counted that
   * nobody posted, or twice.
   *
   * @param posted everything that was, also what is on its way.
   * @param unsteady ids of events that are being corrected.
   */
  async readMeanwhile(
    instance: Instance,
    seed: number,
    posted: () => MeterEvent[],
    unsteady: ReadonlySet<string>,
  ): Promise<void> {
    const meter = this.pick(randomFrom(seed));
    if (!meter) return;
    const { slug } = meter.body;
    const random = randomFrom(seed + 1);
    const asked = this.randomQuery(random, meter);
    const groupBy = asked.query.groupBy;
    const known = new MeterModel();
    known.add([...this.model.events.values()].filter(({ eventId }) => !unsteady.has(eventId)));
    const most = new MeterModel();
    const path = `/v1/meters/${slug}/query?${new URLSearchParams(asked.parameters)}`;
    const isArchived = () => this.busy.has(slug); // by this very step
    const rows = await readPages<ServedPoint>(instance, path, this.key, isArchived);
    if (rows === null) return;
    for (const [i, event] of posted().entries()) most.events.set(String(i), event);
    const keyOf = ({ windowStart, customerId, dimensions }: Partial<ServedPoint>) =>
      JSON.stringify([windowStart, customerId, groupBy.map((name) => dimensions?.[name])]);
    const eventsIn = (points: { events: number }[]) =>
      new Map(points.map((point) => [keyOf(point as Partial<ServedPoint>), point.events]));
    const found = eventsIn(rows);
    const where = (key: string) =>
      `${key} ${JSON.stringify(meter.body)} ${new URLSearchParams(asked.parameters)}`;
    for (const [key, events] of eventsIn(known.query(meter, asked.query))) {
      expect(found.get(key) ?? 0, where(key)).toBeGreaterThanOrEqual(events);
    }
    const bounds = eventsIn(most.query(meter, asked.query));
    for (const [key, events] of found) expect(events, where(key)).toBeLessThanOrEqual(bounds.get(key) ?? 0);
  }

  /** What was not answered is done wholly or not at all. */
  async settle(ask: Ask): Promise<void> {
    this.busy.clear();
    for (const { slug, after } of this.unsure) {
      const { status, body } = await ask(`/v1/meters/${slug}`, this.key);
      expect([200, 404], JSON.stringify(body)).toContain(status);
      const names = Object.keys(after?.dimensions ?? {}).sort();
      const isDone = after
        ? status === 200 && Object.keys(body.dimensions).sort().join() === names.join()
        : status === 404;
      if (isDone) this.remember(slug, after);
      else expect(status === 200, slug).toBe(this.live.has(slug));
    }
    this.unsure = [];
  }

  /**
   * Some queries of each meter, at rest.
   *
   * @param windows all of the tenant as they are served.
   * @param closed up to where they are closed, in ms.
   */
  async compare(
    ask: Ask,
    random: () => number,
    queries: number,
    windows: readonly ServedWindow[],
    closed: number,
  ): Promise<void> {
    for (const meter of this.live.values()) {
      for (let i = 0; i < queries; i++) {
        const asked = this.randomQuery(random, meter);
        const rows = await expectMeter(ask, this.key, this.model, meter, asked);
        expectStates(rows, asked, windows, closed);
      }
      const [a, b] = [this.anywhere(random), this.anywhere(random)];
      const range = { fromMicros: Math.min(a, b), toMicros: Math.max(a, b) + 1 };
      if (random() < 0.2) await expectMeterValues(ask, this.key, this.model, meter, range);
    }
    const served = await allPages(ask, '/v1/meters?limit=100', this.key);
    expect(served.map(({ slug }) => slug).sort()).toEqual([...this.live.keys()].sort());
    for (const slug of this.archived)
      expect((await ask(`/v1/meters/${slug}/query`, this.key)).status).toBe(404);
  }

  /** A query of one of the meters as of a moment, when these events counted. */
  async compareAsOf(
    ask: Ask,
    random: () => number,
    asOf: string,
    events: readonly MeterEvent[],
  ): Promise<void> {
    const meter = this.pick(random);
    if (!meter) return;
    const past = new MeterModel();
    past.replace([...events]);
    const { query, parameters } = this.randomQuery(random, meter);
    await expectMeter(ask, this.key, past, meter, { query, parameters: [...parameters, ['asOf', asOf]] });
  }

  /** Once all is folded and filled: each level alone, with the parts of what is open, has every event. */
  async expectLevels(sql: pg.Pool): Promise<void> {
    const { from, to } = this.span;
    for (const meter of this.live.values()) {
      const { rows } = await sql.query(
        `select ${['30s', '1h', '1d']
          .map(
            (
              level,
            ) => `(select coalesce(sum(events), 0) from meter_${level} l where l.series_id = m.series_id and customer_id = '')::int
               + (select coalesce(sum(events), 0) from meter_part p where p.series_id = m.series_id)::int as "${level}"`,
          )
          .join(', ')}
         from meter m where slug = $1 and archived_at is null`,
        [meter.body.slug],
      );
      const range = { fromMicros: from * 1_000, toMicros: to * 1_000 };
      const query = { ...range, window: null, groupBy: [], customers: null, filters: {} };
      const events = this.model.query(meter, query)[0]?.events ?? 0;
      expect(rows[0], JSON.stringify(meter.body)).toEqual({ '30s': events, '1h': events, '1d': events });
    }
  }

  /** One that nobody else changes in this step. */
  private pick(random: () => number): ModelMeter | undefined {
    const free = [...this.live.values()].filter(({ body }) => !this.busy.has(body.slug));
    return free[Math.floor(random() * free.length)];
  }

  private anywhere(random: () => number): number {
    const { from, to } = this.span;
    return Math.floor((from + random() * (to - from)) * 1_000);
  }

  /** Near what there is: half of the time between two events, or about them. */
  private randomQuery(random: () => number, meter: ModelMeter): MeterQueryCase {
    const times = [...this.model.events.values()].map(({ timestamp }) => microsOf(timestamp) / 1_000);
    const { from, to } = this.span;
    const span =
      random() < 0.5 && times.length > 0
        ? { from: Math.min(...times) - 60_000, to: Math.max(...times) + 60_000 }
        : { from, to };
    const customers = [...new Set([...this.model.events.values()].map(({ customerId }) => customerId))];
    return randomMeterQuery(random, meter, span, customers.length > 0 ? customers : ['alice']);
  }

  private async change(
    instance: Instance,
    method: string,
    path: string,
    body: unknown,
    expected: number,
    change: UnsureChange,
  ): Promise<void> {
    const answer = await instance.call(method, path, this.key, body);
    if (answer?.status === expected) return this.remember(change.slug, change.after);
    if (answer) expect(answer.status, JSON.stringify([body, answer.body])).toBe(503);
    this.unsure.push(change);
  }

  private remember(slug: string, meter: ModelMeter | null): void {
    if (meter) this.live.set(slug, meter);
    else {
      this.live.delete(slug);
      this.archived.push(slug);
    }
  }
}

/** What a row's windows are, by those of the tenant: each event of a customer is in one of them. */
function expectStates(
  rows: readonly ServedPoint[],
  { query: { fromMicros, toMicros, customers } }: MeterQueryCase,
  windows: readonly ServedWindow[],
  closed: number,
): void {
  for (const row of rows) {
    const start = microsOfIso(row.windowStart);
    const end = Math.min(microsOfIso(row.windowEnd), toMicros);
    const revision = windows
      .filter(({ windowStart, customerId }) => {
        const at = Date.parse(windowStart) * 1_000;
        const isOfCustomer = row.customerId === undefined || row.customerId === customerId;
        const isAsked = customers === null || customers.includes(customerId);
        return isOfCustomer && isAsked && at > Math.max(start, fromMicros) - WINDOW_MICROS && at < end;
      })
      .reduce((sum, window) => sum + window.revision, 0);
    const state = end > closed * 1_000 ? 'open' : revision > 0 ? 'revised' : 'closed';
    expect(row).toEqual({ ...row, state, revision });
  }
}

/** Of a time in UTC with three or six digits after the second's point. */
function microsOfIso(text: string): number {
  return microsOf(text.length === 24 ? text.replace('Z', '000Z') : text);
}
