import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import {
  BruteForce,
  type ClosedBackfill,
  doMeet,
  isInScope,
  type ModelScope,
  supersedes,
} from '../../support/bruteForce.ts';
import { closedUntil } from '../../support/closing.ts';
import { type Ask, allPages, expectExact } from '../../support/compareSummaries.ts';
import { describeEngine } from '../../support/database.ts';
import {
  CUSTOMERS,
  type MeterEvent,
  MeterModel,
  type ModelMeter,
  modelMeters,
  randomMeterEvent,
} from '../../support/meterModel.ts';
import { expectMeter, randomMeterQuery } from '../../support/meterQueries.ts';
import { startServiceOn, startTestService, type TestService, until } from '../../support/service.ts';
import { type ClientEvent, randomEvent, randomFrom } from '../../support/traffic.ts';

const HOUR = 3_600_000;
const DAY = 86_400_000;
const seed = Number(process.env.SEED ?? Date.now() % 1_000_000);

/** What was done to a window of a customer, as its history has to tell it. */
interface Done {
  cause: string;
  events: number;
  calls: number;
}

/** A backfill of the test. */
interface Backfill extends ModelScope {
  id: string;
  replaces: boolean;
  staged: Map<string, ClientEvent>;
  closed: ClosedBackfill | null;
}

/**
 * Random batches, voids, restores, amendments and backfills on two instances at once, while windows close, series fill and fold, and chunks
 * are packed; in rounds, each followed by every summary there is.
 */
export function describeCorrections(rounds: number): void {
  describeEngine(`corrections equal a brute-force sum (seed ${seed})`, () => {
    let t: TestService;
    let other: TestService;
    beforeAll(async () => {
      t = await startTestService({ WINDOW_GRACE_MS: '0' });
      other = await startServiceOn(t.database, { WINDOW_GRACE_MS: '0' });
    });
    afterAll(async () => {
      await other.service.close();
      await other.sql.end();
      await t.stop();
    });

    const ask: Ask = (path, key) => t.call('GET', path, { key });

    it('in every summary and meter, right after each answer, and in the history of the windows', async () => {
      const random = randomFrom(seed);
      const pick = <T>(values: readonly T[]): T => values[Math.floor(random() * values.length)]!;
      const now = Date.now();
      const tenant = await t.tenant();
      const { key } = tenant;
      const model = new BruteForce();
      const metered = new MeterModel();
      const waiting: ModelMeter[] = modelMeters((now - DAY) * 1_000 + 123);
      const meters: ModelMeter[] = [];
      const done = new Map<string, Done[]>();

      const anywhere = (): [number, number] => {
        const at = Date.now();
        return random() < 0.5 ? [now - 2 * DAY, now] : [at - 90_000, at + 120_000];
      };
      const anEvent = (): ClientEvent => {
        const [from, to] = anywhere();
        const event = randomEvent(random, from, to);
        const { metadata, eventType, reference } = randomMeterEvent(random, from, to);
        const type = random() < 0.5 ? eventType : event.eventType;
        const named = event.reference ?? reference;
        return {
          ...event,
          // To the microsecond, as the model of meters reads it.
          timestamp: event.timestamp.replace('Z', '000Z'),
          ...(type && { eventType: type }),
          ...(named && { reference: named }),
          metadata: { ...event.metadata, ...metadata },
        };
      };
      const post = async (service: TestService, body: ClientEvent[]) => {
        const answer = await service.call('POST', '/v1/events', { key, body });
        expect([answer.status, answer.body]).toEqual([200, answer.body]);
        model.add(body);
      };
      const note = (events: { event: ClientEvent; calls: number }[], cause: string) => {
        const windows = new Map<string, { ids: Set<string>; calls: number }>();
        for (const { event, calls } of events) {
          const at = Math.floor(Date.parse(event.timestamp) / 30_000) * 30_000;
          const window = JSON.stringify([new Date(at).toISOString(), event.customerId]);
          const sums = windows.get(window) ?? { ids: new Set(), calls: 0 };
          sums.ids.add(event.eventId);
          sums.calls += calls;
          windows.set(window, sums);
        }
        for (const [window, { ids, calls }] of windows) {
          done.set(window, [...(done.get(window) ?? []), { cause, events: ids.size, calls }]);
        }
        return windows.size;
      };
      const some = (events: Map<string, ClientEvent>, share: number) =>
        [...events.values()].filter(() => random() < share);
      const correct = async (service: TestService, kind: string, body: object) => {
        const answer = await service.call('POST', `/v1/events/${kind}`, {
          key,
          body: { reason: `because of ${seed}`, ...body },
        });
        expect([answer.status, answer.body]).toEqual([200, answer.body]);
        return answer.body;
      };
      const voidSome = async (service: TestService) => {
        const events = some(model.events, 0.05);
        if (events.length === 0) return;
        const named =
          random() < 0.5
            ? { ids: events.map(({ eventId }) => eventId) }
            : { events: events.map(({ eventId, timestamp }) => ({ eventId, timestamp })) };
        const answer = await correct(service, 'void', named);
        model.void(events.map(({ eventId }) => eventId));
        const windows = note(
          events.map((event) => ({ event, calls: -1 })),
          'void',
        );
        expect(answer).toMatchObject({ events: events.length, windows, unknown: [] });
      };
      const restoreSome = async (service: TestService) => {
        const events = some(model.voided, 0.3);
        if (events.length === 0) return;
        const answer = await correct(service, 'restore', { ids: events.map(({ eventId }) => eventId) });
        model.restore(events.map(({ eventId }) => eventId));
        const windows = note(
          events.map((event) => ({ event, calls: 1 })),
          'restore',
        );
        expect(answer).toMatchObject({ events: events.length, windows, unknown: [] });
      };
      const amendSome = async (service: TestService) => {
        const events = some(model.events, 0.05);
        if (events.length === 0) return;
        const versions = events.map(({ eventId, timestamp, customerId }) => {
          const version = { ...anEvent(), eventId };
          return random() < 0.5 ? { ...version, timestamp, customerId } : version;
        });
        const answer = await correct(service, 'amend', { events: versions });
        model.amend(versions);
        const windows = note(
          [
            ...events.map((event) => ({ event, calls: -1 })),
            ...versions.map((event) => ({ event, calls: 1 })),
          ],
          'amend',
        );
        expect(answer).toMatchObject({ events: events.length, windows, unknown: [] });
      };
      const open: Backfill[] = [];
      const closed: Backfill[] = [];
      const take = <T>(from: T[]) => from.splice(Math.floor(random() * from.length), 1)[0];
      const inScope = (scope: ModelScope): ClientEvent => ({
        ...anEvent(),
        ...(scope.customers && { customerId: pick(scope.customers) }),
        timestamp: new Date(scope.from + Math.floor(random() * (scope.to - scope.from)))
          .toISOString()
          .replace('Z', '000Z'),
      });
      const stageSome = async (service: TestService) => {
        const from = Math.floor(now - 2 * DAY + random() * 1.9 * DAY);
        const to = Math.min(now, Math.ceil(from + random() ** 3 * DAY) + 1);
        const named = [...new Set(Array.from({ length: 3 }, () => anEvent().customerId))];
        const scope = { from, to, customers: random() < 0.5 ? null : named };
        const replaces = random() < 0.5;
        const { status, body } = await service.call('POST', '/v1/backfills', {
          key,
          body: {
            from: new Date(from).toISOString(),
            to: new Date(to).toISOString(),
            replace: replaces,
            reason: `backfill ${seed}`,
            ...(scope.customers && { customers: scope.customers }),
          },
        });
        if (open.some((other) => doMeet(other, scope))) {
          expect([status, body.code]).toEqual([409, 'backfill_overlaps']);
          return;
        }
        expect([status, body]).toEqual([201, body]);
        const staged = new Map<string, ClientEvent>();
        const known = [...some(model.events, 0.1), ...some(model.voided, 0.2)];
        const events = [
          ...Array.from({ length: Math.ceil(random() * 30) }, () => inScope(scope)),
          ...known.map(({ eventId }) => ({ ...inScope(scope), eventId })),
        ];
        for (const event of events) staged.set(event.eventId, event);
        const answer = await service.call('POST', `/v1/events?backfill=${body.id}`, { key, body: events });
        expect(answer.body).toEqual({ staged: staged.size, duplicates: events.length - staged.size });
        open.push({ id: body.id, ...scope, replaces, staged, closed: null });
      };
      const closeOne = async (service: TestService) => {
        const backfill = take(open);
        if (!backfill) return;
        const staged = [...backfill.staged.values()];
        const coming = model.coming(staged, backfill, backfill.replaces);
        const path = `/v1/backfills/${backfill.id}`;
        const { preview } = (await service.call('GET', path, { key })).body;
        const there = [...model.events.values()].filter(
          (event) =>
            isInScope(event, backfill) &&
            (backfill.replaces ||
              coming.some((one) => one.timestamp.slice(0, 10) === event.timestamp.slice(0, 10))),
        );
        const counts = [there.length, (backfill.replaces ? 0 : there.length) + coming.length];
        expect([preview.before.events, preview.after.events, preview.duplicates]).toEqual([
          ...counts,
          staged.length - coming.length,
        ]);
        const { status, body } = await service.call('POST', `${path}/close`, { key });
        expect([status, body]).toEqual([200, body]);
        backfill.closed = model.close(staged, backfill, backfill.replaces);
        const windows = note(backfill.closed.moved, 'backfill');
        expect(body.closed).toMatchObject({
          events: coming.length,
          replaced: backfill.replaces ? there.length : 0,
          windows,
        });
        expect(preview.changedWindows).toBe(windows);
        closed.push(backfill);
      };
      const revertOne = async (service: TestService) => {
        const backfill = pick(closed);
        if (!backfill) return;
        const { status, body } = await service.call('POST', `/v1/backfills/${backfill.id}/revert`, {
          key,
          body: { reason: 'no' },
        });
        if (closed.slice(closed.indexOf(backfill) + 1).some((later) => supersedes(later, backfill))) {
          expect([status, body.code]).toEqual([409, 'backfill_superseded']);
          return;
        }
        expect([status, body]).toEqual([200, body]);
        closed.splice(closed.indexOf(backfill), 1);
        expect(body.reverted.windows).toBe(note(model.revert(backfill.closed!), 'revert'));
      };
      const dropOne = async (service: TestService) => {
        const backfill = take(open);
        if (!backfill) return;
        expect((await service.call('DELETE', `/v1/backfills/${backfill.id}`, { key })).status).toBe(200);
      };
      const pack = async () => {
        if (t.database.engine !== 'timescale') return;
        const { rows } = await t.sql.query(
          `select c.chunk from retention_chunk c where c.state <> 1 order by c.range_start limit 2`,
        );
        for (const { chunk } of rows) {
          await t.sql.query('select compress_chunk($1::regclass)', [chunk]).catch(() => undefined);
        }
      };
      const meteredOf = (event: ClientEvent) =>
        ({ ...event, eventType: event.eventType ?? 'api.request' }) as unknown as MeterEvent;
      const compare = async () => {
        await expectExact(ask, tenant, model, now - 3 * DAY, now + HOUR);
        const edge = now - Math.floor(random() * 2 * DAY);
        await expectExact(ask, tenant, model, edge, edge + Math.floor(random() * DAY) + 1);
        for (const id of ['order-1', 'order-2']) {
          const session = model.session(id);
          const answer = await ask(`/v1/sessions/${id}`, key);
          if (session) expect(answer.body).toEqual(session);
          else expect(answer.status).toBe(404);
        }
        metered.replace([...model.events.values()].map(meteredOf));
        const span = { from: now - 2.2 * DAY, to: now + 0.1 * DAY };
        for (const meter of meters) {
          await expectMeter(ask, key, metered, meter, randomMeterQuery(random, meter, span, CUSTOMERS));
        }
        const { body } = await ask(
          `/v1/events?from=${new Date(now - 3 * DAY).toISOString()}&limit=1000&state=voided`,
          key,
        );
        expect(new Set(body.data.map(({ eventId }: { eventId: string }) => eventId))).toEqual(
          new Set(model.voided.keys()),
        );
        const counted = await allPages(
          ask,
          `/v1/events?from=${new Date(now - 3 * DAY).toISOString()}&limit=1000&state=counted`,
          key,
        );
        expect(new Set(counted.map(({ eventId }) => eventId))).toEqual(new Set(model.events.keys()));
      };

      const makeMeters = async (most: number) => {
        for (const meter of waiting.splice(0, most)) {
          expect((await t.call('POST', '/v1/meters', { key, body: meter.body })).status).toBe(201);
          meters.push(meter);
        }
      };

      for (let round = 0; round < rounds; round++) {
        await Promise.all([
          post(t, Array.from({ length: Math.ceil(random() * 60) }, anEvent)),
          post(other, Array.from({ length: Math.ceil(random() * 60) }, anEvent)),
        ]);
        for (let i = 0; i < 3; i++) {
          await makeMeters(1);
          // Alone: whether an event that comes meanwhile is replaced, too, is anybody's guess.
          await stageSome(pick([t, other]));
          await pick([closeOne, closeOne, revertOne, dropOne, stageSome])(pick([t, other]));
          await compare();
          // Writers of the same windows, at once.
          const retries = some(model.voided, 0.2);
          const batch = [...Array.from({ length: Math.ceil(random() * 40) }, anEvent)];
          await Promise.all([
            pick([voidSome, restoreSome, amendSome])(pick([t, other])),
            t.call('POST', '/v1/events', { key, body: batch }).then(({ status }) => {
              expect(status).toBe(200);
              model.add(batch);
            }),
          ]);
          if (retries.length > 0) {
            const { body } = await t.call('POST', '/v1/events', { key, body: retries });
            const voided = retries.filter(({ eventId }) => model.voided.has(eventId)).length;
            expect(body).toEqual({
              accepted: 0,
              duplicates: retries.length,
              ...(voided > 0 && { voided }),
            });
          }
          await compare();
        }
        await makeMeters(round === 0 ? 4 : waiting.length);
        await pack();
        await sleep(random() * 300);
      }

      // Once all is refreshed, folded and covered, the rollups alone say the same.
      const until30s = (await closedUntil(t.sql)) + 30_000;
      await until(async () => (await closedUntil(t.sql)) >= until30s, 60_000);
      await until(async () => (await lacking()) === 0, 60_000);
      for (let i = 0; i < 5; i++) await compare();
      const ahead = [...model.events.values()].filter(({ timestamp }) => Date.parse(timestamp) > now + HOUR);
      expect(ahead).toEqual([]);
      for (const rollup of ['usage_30s', 'usage_1h', 'usage_1d']) {
        const { rows } = await t.sql.query(
          `select sum(calls)::int as calls from ${rollup} where tenant_id = $1`,
          [tenant.id],
        );
        expect(rows[0].calls, rollup).toBe(model.events.size);
      }
      for (const [window, expected] of done) {
        const [windowStart, customerId] = JSON.parse(window) as [string, string];
        const search = new URLSearchParams({ windowStart, customerId, limit: '2' });
        const history = await allPages(ask, `/v1/windows/history?${search}`, key);
        expect(history.map(({ revision }) => revision)).toEqual(history.map((_, i) => i + 1));
        const corrections = history.filter(({ cause }) => cause !== 'late');
        expect(
          corrections.map(({ cause, events, difference }) => ({ cause, events, calls: difference.calls })),
        ).toEqual(expected);
        for (const { revision, cause, events } of history) {
          const path = `/v1/windows/${windowStart}/customers/${encodeURIComponent(customerId)}/revisions/${revision}/events`;
          const listed = await allPages(ask, `${path}?limit=3`, key);
          expect(new Set(listed.map(({ eventId }) => eventId)).size, `${cause} of ${window}`).toBe(events);
        }
      }
    }, 3_600_000);

    async function lacking(): Promise<number> {
      const { rows } = await t.sql.query(
        `select (select count(*) from late_window, window_state
                 where bucket < closed_until
                   and (stale or activity_revision < revision or stale_references and bucket < refreshed_1d))::int
              + (select count(*) from meter_part, window_state where bucket < closed_until)::int as n`,
      );
      return rows[0].n;
    }
  });
}
