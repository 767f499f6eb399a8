import { afterAll, beforeAll, expect, it } from 'vitest';
import { BruteForce } from '../../support/bruteForce.ts';
import { CLOSED_BY_HAND, closedUntil, closeUpTo } from '../../support/closing.ts';
import { type Ask, allPages, expectExact, USAGE_VIEWS } from '../../support/compareSummaries.ts';
import { describeEngine } from '../../support/database.ts';
import { iso as isoMicros, microsOf } from '../../support/meterModel.ts';
import { byTime, changeOf, type PastBackfill, PastModel } from '../../support/pastModel.ts';
import { startTestService, type TestService, until } from '../../support/service.ts';
import { anEvent, type ClientEvent } from '../../support/traffic.ts';

const WINDOW = 30_000;
const DAY = 86_400_000;
/** What one backfill may name. */
const MOST_CUSTOMERS = 1_000;
const iso = (ms: number) => new Date(ms).toISOString();

/**
 * What may be done to an event. Of backfills: `replace` has it among what is staged, and replaces; `add` has it, and does not;
 * `clear` replaces what is there by nothing; `revert` undoes the last one that is closed.
 */
type Step = 'void' | 'restore' | 'amend' | 'move' | 'post' | 'replace' | 'add' | 'clear' | 'revert';
const STEPS: Step[] = ['void', 'restore', 'amend', 'move', 'post', 'replace', 'add', 'clear', 'revert'];
const CLOSINGS: Step[] = ['replace', 'add', 'clear'];

/** An event of a customer of its own, and what is done to it. */
interface Course {
  customerId: string;
  eventId: string;
  steps: Step[];
}

/**
 * Every order in which so many things may be done to an event that is there, or not yet: those of the same step with one call, each
 * with a customer of its own. Held against brute force after each step, and as of each of them at the end.
 */
export function describeBackfillOrders(length: number, millis: number): void {
  describeEngine(`backfills and corrections of the same event, in all orders of ${length} steps`, () => {
    let t: TestService;
    beforeAll(async () => {
      t = await startTestService(CLOSED_BY_HAND);
    });
    afterAll(() => t.stop());

    const day = Math.floor(Date.now() / DAY) * DAY - 2 * DAY;
    const scope = { from: day, to: day + DAY };
    const outside = day - DAY;
    const ask: Ask = (path, key) => t.call('GET', path, { key });
    const settle = async () => {
      const next = (await closedUntil(t.sql)) + WINDOW;
      await until(async () => {
        await closeUpTo(t.sql, next, { lockTimeoutMs: 10_000 });
        return (await closedUntil(t.sql)) >= next;
      });
    };

    it(
      'are what a brute-force model has, also as of each step',
      async () => {
        const tenant = await t.tenant();
        const { key } = tenant;
        const send = async (path: string, body?: object) => {
          const answer = await t.call('POST', path, { key, ...(body && { body }) });
          expect([answer.status, answer.body]).toEqual([200, answer.body]);
          return answer.body;
        };
        let tokens = 0;
        const eventOf = ({ customerId, eventId }: Course, at: number): ClientEvent =>
          anEvent({ eventId, customerId, timestamp: iso(at), metadata: { tokens: ++tokens, model: 'a' } });
        const inScope = (course: Course) => eventOf(course, day + (tokens % 3) * WINDOW);

        const past = new PastModel();
        const courses = allCourses(length);
        const there = courses.filter(({ eventId }) => eventId.startsWith('there'));
        const first = there.map(inScope);
        for (const batch of inParts(first, MOST_CUSTOMERS)) await send('/v1/events', batch);
        await settle();
        const received = await receivedAt(tenant.id);
        for (const event of first) past.note({ do: 'add', event, at: received.get(event.eventId)! });
        const moments = [await nowMicros()];

        const open = new Map<string, (PastBackfill & { id: string })[]>();
        for (let step = 0; step < length; step++) {
          const now = (kind: Step) => courses.filter(({ steps }) => steps[step] === kind);
          for (const kind of ['void', 'restore'] as const) {
            for (const part of inParts(now(kind), MOST_CUSTOMERS)) {
              const ids = part.map(({ eventId }) => eventId);
              const { at, events } = await send(`/v1/events/${kind}`, { reason: 'x', ids });
              expect(events).toBe(ids.length);
              past.note({ do: kind, ids, at: microsOf(at) });
            }
          }
          for (const kind of ['amend', 'move'] as const) {
            for (const part of inParts(now(kind), MOST_CUSTOMERS)) {
              const versions = part.map((course) =>
                kind === 'amend' ? inScope(course) : eventOf(course, outside),
              );
              const { at } = await send('/v1/events/amend', { reason: 'x', events: versions });
              past.note({ do: 'amend', versions, at: microsOf(at) });
            }
          }
          for (const part of inParts(now('post'), MOST_CUSTOMERS)) {
            const retried = await send('/v1/events', part.map(inScope));
            const known = past.asOf(Number.MAX_SAFE_INTEGER);
            const voided = part.filter(({ eventId }) => known.voided.has(eventId)).length;
            expect(retried).toEqual({
              ...{ accepted: 0, duplicates: part.length },
              ...(voided > 0 && { voided }),
            });
          }
          for (const [name, group] of backfillsOf(courses, step)) {
            const kind = name.split(' ')[0];
            for (const [n, part] of inParts(group, MOST_CUSTOMERS).entries()) {
              const backfill = {
                ...scope,
                customers: part.map(({ customerId }) => customerId),
                replaces: kind !== 'add',
                staged: kind === 'clear' ? [] : part.map(inScope),
              };
              const made = await t.call('POST', '/v1/backfills', {
                key,
                body: {
                  ...{ from: iso(scope.from), to: iso(scope.to), customers: backfill.customers },
                  ...{ replace: backfill.replaces, reason: 'x' },
                },
              });
              const { id } = made.body;
              if (backfill.staged.length > 0) await send(`/v1/events?backfill=${id}`, backfill.staged);
              const known = past.asOf(Number.MAX_SAFE_INTEGER);
              const coming = known.coming(backfill.staged, backfill, backfill.replaces).length;
              const { closed } = await send(`/v1/backfills/${id}/close`);
              expect([closed.events, closed.duplicates]).toEqual([coming, backfill.staged.length - coming]);
              const closing = { ...backfill, id };
              past.note({ do: 'close', backfill: closing, at: microsOf(closed.at) });
              open.set(`${name} ${step}`, [...(n === 0 ? [] : open.get(`${name} ${step}`)!), closing]);
            }
          }
          for (const [name, backfills] of open) {
            if (!name.includes(` until ${step} `)) continue;
            for (const backfill of backfills) {
              const { reverted } = await send(`/v1/backfills/${backfill.id}/revert`, { reason: 'x' });
              past.note({ do: 'revert', backfill, at: microsOf(reverted.at) });
            }
          }
          await settle();
          moments.push(await nowMicros());
          await expectEvents(past.asOf(Number.MAX_SAFE_INTEGER));
        }
        await settle();

        async function expectEvents(expected: BruteForce) {
          for (const [state, events] of [
            ['counted', expected.events],
            ['voided', expected.voided],
          ] as const) {
            const path = `/v1/events?from=${iso(outside)}&limit=1000&state=${state}`;
            const listed = await allPages(ask, path, key);
            const found = listed.map(({ eventId, timestamp, metadata }) => [
              ...[eventId, timestamp, metadata.tokens],
            ]);
            const wanted = [...events.values()].map(({ eventId, timestamp, metadata }) => [
              ...[eventId, timestamp, metadata.tokens],
            ]);
            expect(found.sort(), state).toEqual(wanted.sort());
          }
        }

        // As of each step, and what changed between any two.
        const range = [outside, day + DAY] as const;
        for (const micros of moments) {
          const asOf = isoMicros(micros);
          const views = USAGE_VIEWS.filter(({ granularity }) => granularity === '1d').slice(0, 1);
          await expectExact(ask, tenant, past.asOf(micros), ...range, views, 'fine', asOf);
        }
        for (const [i, since] of moments.entries()) {
          for (const through of moments.slice(i + 1)) {
            const path = `/v1/usage/changes?from=${iso(range[0])}&to=${iso(range[1])}`;
            const moment = `&since=${isoMicros(since)}&until=${isoMicros(through)}&limit=1000`;
            const changes = await allPages(ask, path + moment, key);
            const found = changes.map((change) => changeOf(change, change.counts));
            expect(found.sort(byTime)).toEqual(past.changes(since, through, ...range));
          }
        }
        const last = past.asOf(Number.MAX_SAFE_INTEGER);
        await expectExact(ask, tenant, last, ...range);

        // Each has a version that counts, or is void; late revisions know the events that they were about.
        for (const { eventId, customerId, steps } of courses.filter((_, i) => i % 17 === 0)) {
          const name = `${eventId}: ${steps.join(', ')}`;
          const [counted, voided] = [last.events.get(eventId), last.voided.get(eventId)];
          const found = await t.call('GET', `/v1/events/${encodeURIComponent(eventId)}`, { key });
          if (!counted && !voided) {
            expect(found.status, name).toBe(404);
            continue;
          }
          expect(found.body.state, name).toBe(counted ? 'counted' : 'voided');
          const numbers = found.body.versions.map(({ version }: { version: number }) => version);
          expect(numbers, name).toEqual(numbers.map((_: number, n: number) => n + 1));
          const live = found.body.versions.filter(({ state }: { state: string }) => state !== 'superseded');
          expect(live, name).toMatchObject([{ event: { metadata: (counted ?? voided)!.metadata } }]);
          const search = new URLSearchParams({ customerId, from: iso(range[0]), to: iso(range[1]) });
          const history = await allPages(ask, `/v1/windows/history?${search}`, key);
          for (const { windowStart, revision, cause, events } of history) {
            const whose = `${windowStart}/customers/${encodeURIComponent(customerId)}`;
            const path = `/v1/windows/${whose}/revisions/${revision}/events?limit=10`;
            const listed = await allPages(ask, path, key);
            expect(new Set(listed.map((one) => one.eventId)).size, `${name}, ${cause}`).toBe(events);
          }
        }
      },
      millis,
    );

    async function receivedAt(tenantId: string) {
      const { rows } = await t.sql.query(
        `select coalesce(external_id, event_id::text) as id, (extract(epoch from received_at) * 1000000)::bigint as micros
         from event where tenant_id = $1`,
        [tenantId],
      );
      return new Map<string, number>(rows.map(({ id, micros }) => [id, Number(micros)]));
    }

    async function nowMicros() {
      const { rows } = await t.sql.query(
        'select (extract(epoch from clock_timestamp()) * 1000000)::bigint as micros',
      );
      return Number(rows[0].micros);
    }
  });
}

function inParts<Value>(values: readonly Value[], size: number): Value[][] {
  const parts: Value[][] = [];
  for (let i = 0; i < values.length; i += size) parts.push(values.slice(i, i + size));
  return parts;
}

/** The backfills that are closed in a step: those that do the same and are reverted at the same time are one. */
function backfillsOf(courses: readonly Course[], step: number): Map<string, Course[]> {
  const groups = new Map<string, Course[]>();
  for (const course of courses) {
    const kind = course.steps[step]!;
    if (!CLOSINGS.includes(kind)) continue;
    const name = `${kind} until ${revertedAt(course.steps, step) ?? 'ever'}`;
    groups.set(name, [...(groups.get(name) ?? []), course]);
  }
  return groups;
}

/** When what is closed in a step is reverted. */
function revertedAt(steps: readonly Step[], closing: number): number | undefined {
  let later = 0;
  for (let step = closing + 1; step < steps.length; step++) {
    if (CLOSINGS.includes(steps[step]!)) later++;
    if (steps[step] === 'revert' && later-- === 0) return step;
  }
  return undefined;
}

/** All orders that make sense: whatever else is refused. */
function allCourses(length: number): Course[] {
  const courses: Course[] = [];
  const scope = { from: 0, to: 1, customers: null };
  const event = (timestamp: number): ClientEvent =>
    anEvent({ eventId: 'one', timestamp: new Date(timestamp).toISOString() });
  for (const isThere of [true, false]) {
    const walk = (steps: Step[]): void => {
      if (steps.length === length) {
        const n = courses.length;
        courses.push({ customerId: `customer-${n}`, eventId: `${isThere ? 'there' : 'new'}-${n}`, steps });
        return;
      }
      for (const step of STEPS) if (isPossible(isThere, steps, step)) walk([...steps, step]);
    };
    walk([]);
  }
  return courses;

  function isPossible(isThere: boolean, steps: readonly Step[], step: Step): boolean {
    const model = new BruteForce();
    if (isThere) model.add([event(0)]);
    const closed: ReturnType<BruteForce['close']>[] = [];
    for (const done of steps) {
      if (done === 'void' || done === 'restore') model[done](['one']);
      else if (done === 'amend' || done === 'move') model.amend([event(done === 'move' ? 5 : 0)]);
      else if (done === 'revert') model.revert(closed.pop()!);
      else if (done !== 'post')
        closed.push(model.close(done === 'clear' ? [] : [event(0)], scope, done !== 'add'));
    }
    const [counts, isVoid] = [model.events.has('one'), model.voided.has('one')];
    switch (step) {
      case 'restore':
        return isVoid;
      case 'void':
      case 'amend':
      case 'move':
        return counts;
      case 'post':
        // Changes nothing: once in a course is enough.
        return (counts || isVoid) && !steps.includes('post');
      case 'revert':
        return closed.length > 0;
      case 'clear':
        return counts;
      default:
        return true;
    }
  }
}
