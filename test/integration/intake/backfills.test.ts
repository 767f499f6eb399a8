import { randomUUID } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createKey } from '../../../src/access/tenancy/keys.ts';
import { stageEvents } from '../../../src/intake/backfills/stageEvents.ts';
import { CLOSED_BY_HAND, closedUntil, closeUpTo } from '../../support/closing.ts';
import { describeEngine } from '../../support/database.ts';
import { importInto } from '../../support/importing.ts';
import { runFolder } from '../../support/runFolder.ts';
import { startTestService, type TestService, until } from '../../support/service.ts';
import { anEvent, type ClientEvent } from '../../support/traffic.ts';
import { usageEvent } from '../../support/usageEvent.ts';

const WINDOW = 30_000;
const DAY = 86_400_000;
const iso = (ms: number) => new Date(ms).toISOString();

describeEngine('backfills', () => {
  let t: TestService;
  beforeAll(async () => {
    t = await startTestService(CLOSED_BY_HAND);
  });
  afterAll(() => t.stop());

  const today = Math.floor(Date.now() / DAY) * DAY;
  const range = { from: iso(today - 2 * DAY), to: iso(today - DAY) };
  const within = (ms: number) => iso(today - 2 * DAY + ms);
  const create = (key: string, body: object = {}) =>
    t.call('POST', '/v1/backfills', { key, body: { ...range, reason: 'lost a day', ...body } });
  const begun = async (key: string, body: object = {}): Promise<string> => {
    const answer = await create(key, body);
    expect([answer.status, answer.body]).toEqual([201, answer.body]);
    return answer.body.id;
  };
  const stage = (key: string, id: string, body: unknown, more = '') =>
    t.call('POST', `/v1/events?backfill=${id}${more}`, { key, body });
  const staged = async (key: string, id: string, ...events: object[]) => {
    const answer = await stage(key, id, events);
    expect([answer.status, answer.body]).toEqual([200, answer.body]);
    return answer.body;
  };
  const move = (key: string, id: string, how: 'close' | 'revert') =>
    t.call('POST', `/v1/backfills/${id}/${how}`, {
      key,
      ...(how === 'revert' && { body: { reason: 'it was another file' } }),
    });
  const moved = async (key: string, id: string, how: 'close' | 'revert') => {
    const answer = await move(key, id, how);
    expect([answer.status, answer.body]).toEqual([200, answer.body]);
    return answer.body;
  };
  const post = async (key: string, ...body: object[]) => {
    const answer = await t.call('POST', '/v1/events', { key, body });
    expect([answer.status, answer.body]).toEqual([200, answer.body]);
    return answer.body;
  };
  const shown = async (key: string, id: string) => (await t.call('GET', `/v1/backfills/${id}`, { key })).body;
  const tokensOf = async (key: string, customerId?: string) => {
    const search = new URLSearchParams({
      granularity: '1d',
      from: iso(today - 20 * DAY),
      to: iso(today + 2 * DAY),
      ...(customerId && { customerId }),
    });
    const { body } = await t.call('GET', `/v1/usage?${search}`, { key });
    return body.data.reduce((sum: number, { tokens }: { tokens: number }) => sum + tokens, 0);
  };
  const event = (tokens: number, more: object = {}) =>
    anEvent({ timestamp: within(1_000), metadata: { tokens, model: 'a' }, ...more });

  it('do not count before they are closed, count wholly then, and no more once they are reverted', async () => {
    const { key } = await t.tenant();
    const [there, inside] = [event(1), event(10)];
    await post(key, there);
    const id = await begun(key);
    expect(await staged(key, id, inside, event(20, { timestamp: within(WINDOW) }))).toEqual({
      staged: 2,
      duplicates: 0,
    });
    expect(await staged(key, id, inside)).toEqual({ staged: 0, duplicates: 1 });
    expect(await tokensOf(key)).toBe(1);
    expect((await t.call('GET', `/v1/events?from=${range.from}`, { key })).body.data).toHaveLength(1);
    const sums = (events: number, windows: number, tokens: number) => ({
      ...{ events, windows, tokens, inputTokens: 0, outputTokens: 0, value: '0' },
    });
    const change = { before: sums(1, 1, 1), after: sums(3, 2, 31), changedWindows: 2 };
    expect(await shown(key, id)).toMatchObject({
      ...{ id, state: 'staged', ...range, customers: null, replace: false, reason: 'lost a day', events: 2 },
      ...{ closed: null, reverted: null, droppedAt: null },
      preview: { ...change, duplicates: 0, days: [{ day: range.from.slice(0, 10), ...change }] },
    });

    const closed = await moved(key, id, 'close');
    expect(closed).toMatchObject({
      state: 'closed',
      closed: { events: 2, replaced: 0, duplicates: 0, windows: 2, actor: { kind: 'key' } },
    });
    expect(await tokensOf(key)).toBe(31);
    // They are as known as any other.
    expect(await post(key, inside)).toEqual({ accepted: 0, duplicates: 1 });
    expect(await shown(key, id)).toMatchObject({ state: 'closed', preview: null });
    expect((await stage(key, id, event(5))).body).toMatchObject({ status: 409, code: 'backfill_not_staged' });
    expect((await move(key, id, 'close')).body).toMatchObject({ status: 409, code: 'backfill_not_staged' });

    const reverted = await moved(key, id, 'revert');
    expect(reverted).toMatchObject({
      state: 'reverted',
      reverted: { windows: 2, reason: 'it was another file' },
    });
    expect(await tokensOf(key)).toBe(1);
    expect(await post(key, inside)).toEqual({ accepted: 0, duplicates: 1, voided: 1 });
    expect((await move(key, id, 'revert')).body).toMatchObject({ status: 409, code: 'backfill_not_closed' });
    const { body: history } = await t.call(
      'GET',
      `/v1/windows/history?customerId=customer-1&windowStart=${range.from}`,
      { key },
    );
    expect(history.data.filter(({ cause }: { cause: string }) => cause !== 'late')).toMatchObject([
      {
        cause: 'backfill',
        events: 1,
        difference: { calls: 1, tokens: 10 },
        correction: { id: closed.closed.correctionId, reason: 'lost a day' },
      },
      {
        cause: 'revert',
        events: 1,
        difference: { calls: -1, tokens: -10 },
        correction: { id: reverted.reverted.correctionId, reason: 'it was another file' },
      },
    ]);
    const { body: one } = await t.call('GET', `/v1/events/${inside.eventId}`, { key });
    expect(one).toMatchObject({ state: 'voided', corrections: [{ kind: 'backfill' }, { kind: 'revert' }] });
    const log = await t.call('GET', '/v1/audit-log', { key });
    expect(
      log.body.data
        .slice(0, 3)
        .map(({ action, target }: { action: string; target: string }) => [action, target]),
    ).toEqual([
      ['backfill.reverted', id],
      ['backfill.closed', id],
      ['backfill.created', id],
    ]);
    // What a revert has taken out is free for the next one.
    const again = await begun(key);
    await staged(key, again, { ...inside, metadata: { tokens: 700, model: 'a' } });
    expect((await shown(key, again)).preview).toMatchObject({ duplicates: 0, after: { tokens: 701 } });
    await moved(key, again, 'close');
    expect(await tokensOf(key)).toBe(701);
    expect((await t.call('GET', `/v1/events/${inside.eventId}`, { key })).body).toMatchObject({
      state: 'counted',
      versions: [
        { version: 1, state: 'superseded' },
        { version: 2, state: 'counted' },
      ],
    });
    await moved(key, again, 'revert');
    expect(await tokensOf(key)).toBe(1);
  });

  it('take the place of what was there of their customers, and give it back', async () => {
    const { key } = await t.tenant();
    const mine = (tokens: number, more: object = {}) => event(tokens, { customerId: 'mine', ...more });
    const [old, corrected, others, outside, voided] = [
      mine(1),
      mine(2),
      event(100, { customerId: 'others' }),
      mine(1_000, { timestamp: iso(today) }),
      mine(5),
    ];
    await post(key, old, corrected, others, outside, voided);
    await t.call('POST', '/v1/events/void', { key, body: { reason: 'x', ids: [voided.eventId] } });
    const id = await begun(key, { customers: ['mine'], replace: true });
    await staged(
      key,
      id,
      mine(10_000),
      { ...corrected, metadata: { tokens: 20_000, model: 'a' } },
      // Counts elsewhere: not this backfill's to replace.
      { ...outside, timestamp: within(5_000) },
      { ...others, customerId: 'mine' },
      { ...voided, metadata: { tokens: 40_000, model: 'a' } },
    );
    const preview = {
      before: { events: 2, tokens: 3 },
      after: { events: 3, tokens: 70_000 },
      changedWindows: 1,
      duplicates: 2,
    };
    expect((await shown(key, id)).preview).toMatchObject(preview);
    expect(await moved(key, id, 'close')).toMatchObject({
      closed: { events: 3, replaced: 2, duplicates: 2, windows: 1 },
    });
    expect(await tokensOf(key, 'mine')).toBe(71_000);
    expect(await tokensOf(key)).toBe(71_100);
    const states = async (eventId: string) => {
      const { body } = await t.call('GET', `/v1/events/${eventId}`, { key });
      return body.versions.map(({ state }: { state: string }) => state);
    };
    expect(await states(old.eventId)).toEqual(['voided']);
    expect(await states(corrected.eventId)).toEqual(['superseded', 'counted']);
    expect(await states(voided.eventId)).toEqual(['superseded', 'counted']);
    // What has been done since to what it has brought is undone with it.
    const amended = { ...corrected, timestamp: iso(today - 4 * DAY), metadata: { tokens: 7, model: 'a' } };
    const amend = await t.call('POST', '/v1/events/amend', { key, body: { reason: 'x', events: [amended] } });
    expect(amend.body).toMatchObject({ events: 1, windows: 2 });
    expect(await tokensOf(key)).toBe(51_107);
    await moved(key, id, 'revert');
    expect(await tokensOf(key)).toBe(1_103);
    expect(await states(old.eventId)).toEqual(['counted']);
    expect(await states(corrected.eventId)).toEqual(['counted', 'superseded', 'superseded']);
    expect(await states(voided.eventId)).toEqual(['voided', 'superseded']);
    const restored = await t.call('POST', '/v1/events/restore', {
      key,
      body: { reason: 'x', ids: [voided.eventId] },
    });
    expect(restored.body).toMatchObject({ events: 1 });
    expect(await tokensOf(key)).toBe(1_108);
  });

  it('give each window one revision and one message', async () => {
    const { id: tenantId, key } = await t.tenant();
    await t.sql.query(
      `insert into subscription (tenant_id, message_types, stream) values ($1, $2, 'messages')`,
      [tenantId, ['window.revised']],
    );
    const closed = await closedUntil(t.sql);
    await closeUpTo(t.sql, closed + WINDOW);
    await post(key, event(1));
    const id = await begun(key, { replace: true });
    await staged(key, id, event(2), event(3), event(4, { timestamp: within(WINDOW) }));
    const messages = async () => {
      const { rows } = await t.sql.query(
        `select payload->>'revision' as revision, payload->'aggregations'->>'totalTokens' as tokens
         from outbox where tenant_id = $1 and type = 'window.revised' order by id`,
        [tenantId],
      );
      return rows.map(({ revision, tokens }) => [Number(revision), Number(tokens)]);
    };
    expect(await messages()).toEqual([[1, 1]]);
    await moved(key, id, 'close');
    expect(await messages()).toEqual([
      [1, 1],
      [2, 5],
      [1, 4],
    ]);
    await moved(key, id, 'revert');
    expect((await messages()).slice(3)).toEqual([
      [3, 1],
      [2, 0],
    ]);
  });

  it('are dropped without a trace in any sum', async () => {
    const { key } = await t.tenant();
    const id = await begun(key);
    await staged(key, id, event(1));
    const answer = await t.call('DELETE', `/v1/backfills/${id}`, { key });
    expect(answer.body).toMatchObject({ state: 'dropped', droppedAt: expect.any(String) });
    const { rows } = await t.sql.query('select from staged_event where backfill_id = $1', [id]);
    expect(rows).toEqual([]);
    expect(await tokensOf(key)).toBe(0);
    for (const how of ['close', 'revert'] as const) expect((await move(key, id, how)).status).toBe(409);
    expect((await t.call('DELETE', `/v1/backfills/${id}`, { key })).body).toMatchObject({
      code: 'backfill_not_staged',
    });
    const page = await t.call('GET', '/v1/backfills?state=dropped', { key });
    expect(page.body).toMatchObject({ data: [{ id, state: 'dropped' }], nextCursor: null });
    expect((await t.call('GET', '/v1/backfills?state=staged', { key })).body.data).toEqual([]);
  });

  it('have what is posted to them at once, and leave nothing of it when they are dropped meanwhile', async () => {
    const { id: tenantId, key } = await t.tenant();
    const id = await begun(key);
    const posted = Array.from({ length: 8 }, (_, i) => staged(key, id, event(1), event(i)));
    expect(await Promise.all(posted)).toEqual(Array(8).fill({ staged: 2, duplicates: 0 }));
    expect(await shown(key, id)).toMatchObject({ events: 16, preview: { after: { events: 16 } } });

    const slow = await t.sql.connect();
    try {
      await slow.query('begin');
      await stageEvents(slow, tenantId, id, [usageEvent({ tenantId })]);
      const dropping = t.call('DELETE', `/v1/backfills/${id}`, { key });
      const waiting = `select from pg_stat_activity
        where datname = current_database() and wait_event_type = 'Lock' and query like '%drop_backfill%'`;
      await until(async () => (await t.sql.query(waiting)).rowCount === 1);
      await slow.query('commit');
      expect((await dropping).body).toMatchObject({ state: 'dropped', events: 17 });
    } finally {
      slow.release();
    }
    expect((await t.sql.query('select from staged_event where backfill_id = $1', [id])).rowCount).toBe(0);
    expect((await stage(key, id, event(1))).body).toMatchObject({ status: 409, code: 'backfill_not_staged' });
  });

  it('keep nobody else waiting while one is closed, and refuse for then what is posted to it', async () => {
    const { id: tenantId, key } = await t.tenant();
    const id = await begun(key);
    const closing = await t.sql.connect();
    try {
      await closing.query('begin');
      await closing.query('select from backfill where id = $1 for update', [id]);
      let answered = 0;
      const waiting = [
        ...[1, 2].map(() => stage(key, id, event(1))),
        t.call('DELETE', `/v1/backfills/${id}`, { key }),
      ].map((answer) => answer.finally(() => answered++));
      const other = await createKey(t.sql, { tenantId, scopes: ['read'] });
      expect((await t.call('GET', '/v1/usage', { key: other.key })).status).toBe(200);
      expect(answered).toBe(0);
      for (const { body, headers } of await Promise.all(waiting)) {
        expect(body).toMatchObject({ status: 503, code: 'overloaded' });
        expect(Number(headers.get('retry-after'))).toBeGreaterThan(0);
      }
    } finally {
      await closing.query('rollback');
      closing.release();
    }
    expect(await staged(key, id, event(1))).toEqual({ staged: 1, duplicates: 0 });
  });

  it('do not overlap while they are staged, however many are made at once', async () => {
    const { key } = await t.tenant();
    const other = await t.tenant();
    const mine = await begun(key, { customers: ['a', 'b'] });
    expect((await create(key, { customers: ['b', 'c'] })).body).toMatchObject({
      ...{ status: 409, code: 'backfill_overlaps', backfillId: mine },
    });
    expect((await create(key)).status).toBe(409);
    await begun(key, { customers: ['c'] });
    await begun(key, { from: range.to, to: iso(today) });
    await begun(other.key);
    await t.call('DELETE', `/v1/backfills/${mine}`, { key });
    const made = await Promise.all(Array.from({ length: 8 }, () => create(key, { customers: ['a'] })));
    expect(made.map(({ status }) => status).sort()).toEqual([201, ...Array(7).fill(409)]);
  });

  it('are reverted in the reverse order of those of the same time', async () => {
    const { key } = await t.tenant();
    await post(key, event(1));
    const first = await begun(key, { replace: true });
    await staged(key, first, event(10));
    await moved(key, first, 'close');
    const second = await begun(key, { replace: true });
    await staged(key, second, event(100));
    await moved(key, second, 'close');
    expect(await tokensOf(key)).toBe(100);
    expect((await move(key, first, 'revert')).body).toMatchObject({
      ...{ status: 409, code: 'backfill_superseded', backfillId: second },
    });
    await moved(key, second, 'revert');
    expect(await tokensOf(key)).toBe(10);
    await moved(key, first, 'revert');
    expect(await tokensOf(key)).toBe(1);
  });

  const correct = async (key: string, kind: 'void' | 'restore' | 'amend', ...events: ClientEvent[]) => {
    const named = kind === 'amend' ? { events } : { ids: events.map(({ eventId }) => eventId) };
    const answer = await t.call('POST', `/v1/events/${kind}`, { key, body: { reason: 'x', ...named } });
    expect([answer.status, answer.body]).toEqual([200, answer.body]);
    expect(answer.body.events).toBe(events.length);
  };
  const other = (one: ClientEvent, tokens: number, more: object = {}) => ({
    ...one,
    ...more,
    metadata: { tokens, model: 'a' },
  });
  /** The state of an event, and of its versions with their tokens. */
  const versionsOf = async (key: string, { eventId }: ClientEvent) => {
    const { body } = await t.call('GET', `/v1/events/${eventId}`, { key });
    type Version = { version: number; state: string; event: { metadata: { tokens: number } } };
    const versions = body.versions.map(({ version, state, event: of }: Version) => [
      ...[version, state, of.metadata.tokens],
    ]);
    return [body.state, ...versions];
  };
  const closedWith = async (key: string, body: object, ...events: object[]) => {
    const id = await begun(key, body);
    if (events.length > 0) await staged(key, id, ...events);
    await moved(key, id, 'close');
    return id;
  };

  it('leave an event its versions, by their numbers, through all that is done to it', async () => {
    const { key } = await t.tenant();
    await closeUpTo(t.sql, (await closedUntil(t.sql)) + WINDOW);
    const one = event(1);
    await post(key, one);
    const late = async () => {
      const { body } = await t.call(
        'GET',
        `/v1/windows/${range.from}/customers/customer-1/revisions/1/events`,
        { key },
      );
      return body.data;
    };
    expect(await late()).toEqual([{ eventId: one.eventId, counts: true }]);
    await correct(key, 'void', one);
    for (const tokens of [20, 30]) {
      const id = await closedWith(key, { replace: true }, other(one, tokens));
      expect(await tokensOf(key)).toBe(tokens);
      await moved(key, id, 'revert');
      expect(await tokensOf(key)).toBe(0);
    }
    // Not the one that was brought before.
    const reverted = [
      [2, 'superseded', 20],
      [3, 'superseded', 30],
    ];
    expect(await versionsOf(key, one)).toEqual(['voided', [1, 'voided', 1], ...reverted]);
    await correct(key, 'restore', one);
    expect(await versionsOf(key, one)).toEqual(['counted', [1, 'counted', 1], ...reverted]);
    await correct(key, 'void', one);
    expect(await versionsOf(key, one)).toEqual(['voided', [1, 'voided', 1], ...reverted]);
    await correct(key, 'restore', one);
    await correct(key, 'amend', other(one, 400));
    expect(await versionsOf(key, one)).toEqual([
      'counted',
      [1, 'superseded', 1],
      ...reverted,
      [4, 'counted', 400],
    ]);
    expect(await tokensOf(key)).toBe(400);
    // The revision of when it was posted late is about it, whatever has become of it.
    expect(await late()).toEqual([{ eventId: one.eventId, counts: true }]);
  });

  it('are undone wholly, and what others have done since stays done', async () => {
    const { key } = await t.tenant();
    const [kept, cleared, amended, moves, voided, again, taken] = [1, 2, 4, 8, 16, 32, 64].map((n) =>
      event(n),
    );
    const all = [kept!, cleared!, amended!, moves!, voided!, again!, taken!];
    await post(key, ...all);
    await correct(key, 'void', again!);
    const fresh = event(1_000);
    const id = await closedWith(
      key,
      { replace: true },
      ...[kept!, amended!, moves!, voided!, again!].map((one) => other(one, 10_000)),
      fresh,
    );
    expect(await tokensOf(key)).toBe(51_000);
    await correct(key, 'amend', other(amended!, 5), other(moves!, 6, { timestamp: iso(today - 5 * DAY) }));
    await correct(key, 'void', voided!, again!, fresh);
    await correct(key, 'restore', taken!);
    await correct(key, 'amend', other(taken!, 7));
    expect(await tokensOf(key)).toBe(10_018);
    await moved(key, id, 'revert');
    // 1, 2, 4 and 8 as they were, and 7, which somebody has made of what the backfill had taken out.
    expect(await tokensOf(key)).toBe(22);
    expect(await versionsOf(key, moves!)).toMatchObject([
      'counted',
      [1, 'counted', 8],
      [2, 'superseded', 10_000],
      [3, 'superseded', 6],
    ]);
    // Void since: as what they were before.
    expect(await versionsOf(key, voided!)).toEqual(['voided', [1, 'voided', 16], [2, 'superseded', 10_000]]);
    expect(await versionsOf(key, again!)).toEqual(['voided', [1, 'voided', 32], [2, 'superseded', 10_000]]);
    expect(await versionsOf(key, fresh)).toEqual(['voided', [1, 'voided', 1_000]]);
    // Somebody has taken them out: no backfill brings them that does not replace.
    const free = await begun(key);
    await staged(key, free, other(voided!, 9, { timestamp: within(2_000) }), other(fresh, 9));
    expect((await shown(key, free)).preview).toMatchObject({ duplicates: 2 });
    await correct(key, 'restore', voided!, again!, fresh);
    expect(await tokensOf(key)).toBe(1_070);
  });

  it('are reverted before another whose event they have, wherever an amendment has put it', async () => {
    const { key } = await t.tenant();
    const one = event(1);
    const first = await closedWith(key, {}, one);
    const elsewhere = { from: iso(today - DAY), to: iso(today) };
    const there = other(one, 20, { timestamp: elsewhere.from });
    await correct(key, 'amend', there);
    const second = await closedWith(key, { ...elsewhere, replace: true }, other(there, 300));
    expect(await tokensOf(key)).toBe(300);
    expect((await move(key, first, 'revert')).body).toMatchObject({
      ...{ status: 409, code: 'backfill_superseded', backfillId: second },
    });
    // Staged ones and those of other events are not in the way.
    await staged(
      key,
      await begun(key, { ...elsewhere, customers: ['x'] }),
      other(one, 1, { ...there, customerId: 'x' }),
    );
    await moved(key, second, 'revert');
    expect(await tokensOf(key)).toBe(20);
    const third = await closedWith(key, { ...elsewhere, replace: true, customers: ['customer-1'] });
    expect(await tokensOf(key)).toBe(0);
    expect((await move(key, first, 'revert')).body).toMatchObject({ backfillId: third });
    await moved(key, third, 'revert');
    await moved(key, first, 'revert');
    expect(await tokensOf(key)).toBe(0);
    expect(await versionsOf(key, one)).toEqual([
      ...['voided', [1, 'superseded', 1], [2, 'voided', 20], [3, 'superseded', 300]],
    ]);
  });

  it('leave what comes late to their windows as it is, closed and reverted', async () => {
    const { id: tenantId, key } = await t.tenant();
    await post(key, event(1));
    const id = await closedWith(key, { replace: true }, event(10), event(20, { timestamp: within(WINDOW) }));
    const [late, voided] = [event(100), event(200, { timestamp: within(WINDOW) })];
    await post(key, late, voided);
    await correct(key, 'void', voided);
    expect(await tokensOf(key)).toBe(130);
    if (t.database.engine === 'timescale') {
      const { rows } = await t.sql.query(`select chunk from retention_chunk where state <> 1`);
      for (const { chunk } of rows) {
        await t.sql.query('select compress_chunk($1::regclass)', [chunk]).catch(() => undefined);
      }
    }
    await moved(key, id, 'revert');
    expect(await tokensOf(key)).toBe(101);
    const { rows } = await t.sql.query(
      `select (extract(epoch from bucket) * 1000)::bigint as ms, sum(calls)::int as calls from window_revision
       where tenant_id = $1 group by 1 order by 1`,
      [tenantId],
    );
    expect(rows.map(({ calls }) => calls)).toEqual([2, 0]);
  });

  it('may change nothing when they are closed, and when they are reverted', async () => {
    const { key } = await t.tenant();
    const one = event(1);
    const empty = await closedWith(key, { replace: true });
    expect(await shown(key, empty)).toMatchObject({
      closed: { events: 0, replaced: 0, duplicates: 0, windows: 0 },
    });
    expect(await moved(key, empty, 'revert')).toMatchObject({ reverted: { windows: 0 } });
    const id = await closedWith(key, {}, one);
    await correct(key, 'void', one);
    expect(await moved(key, id, 'revert')).toMatchObject({ reverted: { windows: 0 } });
    expect(await versionsOf(key, one)).toEqual(['voided', [1, 'voided', 1]]);
  });

  it('have the planner know of what they have written: the next one may come at once', async () => {
    const { id: tenantId, key } = await t.tenant();
    const known = async (relation: string) => {
      const { rows } = await t.sql.query<{ tenants: string[] }>(
        `select most_common_vals::text::text[] as tenants from pg_stats where tablename = $1 and attname = 'tenant_id'`,
        [relation],
      );
      return rows.some(({ tenants }) => tenants?.includes(tenantId));
    };
    const events = Array.from({ length: 5_000 }, () => event(1));
    const id = await closedWith(key, {}, ...events);
    expect(await known('correction_event')).toBe(true);
    await moved(key, id, 'revert');
    expect(await known('uncounted_event')).toBe(true);
  });

  it('take what an import reads, and tell it what is not theirs', async () => {
    const { id: tenantId, key } = await t.tenant();
    const id = await begun(key, { from: '2019-03-01T00:00:00Z', to: '2019-03-02T00:00:00Z' });
    const folder = await runFolder();
    const path = join(folder, `lost-${id}.ndjson`);
    const line = (timestamp: string, tokens: number) => JSON.stringify(event(tokens, { timestamp }));
    const lines = [
      line('2019-03-01T00:00:00Z', 1),
      line('2019-03-01T23:59:59.999Z', 2),
      line('2019-03-02T00:00:00Z', 4),
    ];
    await writeFile(path, `${lines.join('\n')}\n`);
    const importing = { url: t.database.url, path, tenantId, backfill: id };
    const first = await importInto(importing);
    expect([first.counts.stored, first.counts.duplicates, first.refreshMs]).toEqual([2, 0, null]);
    expect(first.badLines).toMatchObject([
      { line: 3, pointer: '/timestamp', code: 'timestamp_outside_backfill' },
    ]);
    const second = await importInto(importing);
    expect([second.counts.stored, second.counts.duplicates]).toEqual([0, 2]);
    expect((await shown(key, id)).preview).toMatchObject({
      before: { tokens: 0 },
      after: { tokens: 3 },
      days: [{ day: '2019-03-01' }],
    });
    await moved(key, id, 'close');
    const range = 'from=2019-03-01T00:00:00Z&to=2019-03-02T00:00:00Z';
    const { body } = await t.call('GET', `/v1/usage?granularity=1d&${range}`, { key });
    expect(body.data).toMatchObject([{ calls: 2, tokens: 3 }]);
    await expect(importInto(importing)).rejects.toThrow(/the backfill is closed/);
    await expect(importInto({ ...importing, backfill: randomUUID() })).rejects.toThrow(/no such backfill/);
    // They were counted: an ordinary import of them adds nothing.
    const third = await importInto({ ...importing, backfill: undefined });
    expect([third.counts.stored, third.counts.duplicates]).toEqual([1, 2]);
  });

  it('are about the range that was asked for, to the microsecond, and about customers with long names', async () => {
    const { key } = await t.tenant();
    const at = (micros: string) => `${range.from.slice(0, -1)}${micros}Z`;
    const [before, first, last, after] = ['499', '500', '998', '999'].map((micros, i) =>
      event(10 ** i, { timestamp: at(micros) }),
    );
    await post(key, before!, first!, last!, after!);
    const id = await begun(key, { from: at('500'), to: at('999'), replace: true });
    expect(await shown(key, id)).toMatchObject({ from: at('500'), to: at('999') });
    expect((await stage(key, id, [before, first, last, after])).body.errors).toMatchObject([
      { index: 0, code: 'timestamp_outside_backfill' },
      { index: 3, code: 'timestamp_outside_backfill' },
    ]);
    expect(await moved(key, id, 'close')).toMatchObject({ closed: { replaced: 2 } });
    expect(await tokensOf(key)).toBe(1_001);

    const customers = Array.from({ length: 1_000 }, (_, i) => `${'é'.repeat(252)}${i}`);
    expect((await shown(key, await begun(key, { customers }))).customers).toHaveLength(1_000);
  });

  it('take events by POST /v1/events alone: other routes would count them, and refuse', async () => {
    const { key } = await t.tenant();
    const id = await begun(key);
    const asJson = { 'content-type': 'application/json' };
    for (const [path, body, headers] of [
      ['/v1/records', [{}], asJson],
      ['/v1/counters/increment', { key: 'c', value: 1 }, asJson],
      ['/increment', { key: 'c', value: 1 }, asJson],
      ['/api/v1/events', [{}], asJson],
      ['/api/v1/events/batch', { events: [{}] }, asJson],
      ['/v1/billing/meter_events', 'event_name=a', { 'content-type': 'application/x-www-form-urlencoded' }],
      ['/v2/billing/meter_events', {}, asJson],
      ['/v2/billing/meter_event_stream', {}, asJson],
      ['/ingest', { events: [{}] }, asJson],
      ['/v1/ingest', [{}], asJson],
      ['/otlp/v1/traces', { resourceSpans: [] }, asJson],
      ['/otlp/v1/logs', { resourceLogs: [] }, asJson],
    ] as const) {
      const answer = await t.call('POST', `${path}?backfill=${id}`, { key, body, headers });
      expect([path, answer.status, JSON.stringify(answer.body)]).toEqual([
        path,
        400,
        expect.stringContaining('events of a backfill go to POST /v1/events'),
      ]);
    }
    expect((await t.call('GET', '/v1/events?state=all', { key })).body.data).toEqual([]);
  });

  it('refuse what is not theirs, and what cannot be meant, and change nothing', async () => {
    const { id: tenantId, key } = await t.tenant();
    const other = await t.tenant();
    const id = await begun(key, { customers: ['mine'] });
    const good = event(1, { customerId: 'mine' });
    const bad = [
      event(1, { customerId: 'mine', timestamp: range.to }),
      event(1, { customerId: 'others' }),
      event(1, { timestamp: iso(today - 2 * DAY - 1) }),
    ];
    const refused = await stage(key, id, [good, ...bad]);
    expect(refused.body).toMatchObject({
      status: 422,
      code: 'invalid_events',
      errors: [
        { index: 1, pointer: '/timestamp', code: 'timestamp_outside_backfill' },
        { index: 2, pointer: '/customerId', code: 'customer_outside_backfill' },
        { index: 3, pointer: '/timestamp', code: 'timestamp_outside_backfill' },
        { index: 3, pointer: '/customerId', code: 'customer_outside_backfill' },
      ],
    });
    expect((await shown(key, id)).events).toBe(0);
    const skipped = await stage(key, id, [good, good, bad[0]], '&onInvalid=skip');
    expect(skipped.body).toMatchObject({
      ...{ staged: 1, duplicates: 1, rejected: 1 },
      results: [
        { index: 0, status: 'accepted' },
        { index: 1, status: 'duplicate' },
        { index: 2, status: 'invalid' },
      ],
    });
    const cloudEvent = {
      specversion: '1.0',
      id: 'c',
      source: 's',
      type: 'x',
      subject: 'others',
      time: range.to,
    };
    const cloud = await t.call('POST', `/v1/events?backfill=${id}`, {
      key,
      body: cloudEvent,
      headers: { 'content-type': 'application/cloudevents+json' },
    });
    expect(cloud.body.errors).toMatchObject([{ pointer: '/time' }, { pointer: '/subject' }]);

    expect((await stage(key, randomUUID(), good)).status).toBe(404);
    expect((await stage(other.key, id, good)).status).toBe(404);
    expect((await stage(key, 'x', good)).body).toMatchObject({ status: 400, code: 'invalid_request' });
    for (const [body, code] of [
      [{ from: range.to, to: range.from }, 'range_invalid'],
      [{ from: range.from, to: range.from }, 'range_invalid'],
      [{ from: 'yesterday' }, 'range_invalid'],
      [{ reason: '' }, 'invalid_request'],
      [{ customers: [] }, 'invalid_request'],
      [{ customers: Array.from({ length: 1_001 }, (_, i) => `c${i}`) }, 'invalid_request'],
      [{ replace: 'yes' }, 'invalid_request'],
      [{ further: 1 }, 'invalid_request'],
    ] as const) {
      expect((await create(other.key, body)).body, JSON.stringify(body)).toMatchObject({ status: 400, code });
    }
    for (const how of ['close', 'revert'] as const) {
      expect((await move(key, randomUUID(), how)).status).toBe(404);
      expect((await move(other.key, id, how)).status).toBe(404);
    }
    expect((await t.call('DELETE', `/v1/backfills/${id}`, { key: other.key })).status).toBe(404);
    const without = await createKey(t.sql, { tenantId, scopes: ['ingest', 'read', 'admin'] });
    for (const answer of [
      await create(without.key),
      await stage(without.key, id, good),
      await move(without.key, id, 'close'),
      await move(without.key, id, 'revert'),
      await t.call('DELETE', `/v1/backfills/${id}`, { key: without.key }),
    ]) {
      expect(answer.body).toMatchObject({ status: 403, code: 'scope_missing' });
    }
    expect(await shown(without.key, id)).toMatchObject({ state: 'staged', events: 1 });
    // Its own bound, by the table.
    await t.sql.query('update backfill set events = 500000 where id = $1', [id]);
    expect((await stage(key, id, event(1, { customerId: 'mine' }))).body).toMatchObject({
      ...{ status: 409, code: 'limit_reached' },
    });
    expect((await t.sql.query('select from staged_event where backfill_id = $1', [id])).rowCount).toBe(1);
  });
});
