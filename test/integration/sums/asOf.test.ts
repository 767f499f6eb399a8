import { afterAll, beforeAll, expect, it } from 'vitest';
import { decimalSum } from '../../support/bruteForce.ts';
import { CLOSED_BY_HAND, closedUntil, closeUpTo } from '../../support/closing.ts';
import { type Ask, allPages, expectExact, USAGE_VIEWS } from '../../support/compareSummaries.ts';
import { describeEngine } from '../../support/database.ts';
import {
  CUSTOMERS,
  iso as isoMicros,
  type MeterEvent,
  MeterModel,
  microsOf,
  modelMeters,
  randomMeterEvent,
} from '../../support/meterModel.ts';
import { expectMeter, randomMeterQuery } from '../../support/meterQueries.ts';
import { byTime, changeOf, type PastBackfill, PastModel } from '../../support/pastModel.ts';
import { startServiceOn, startTestService, type TestService, until } from '../../support/service.ts';
import { anEvent, type ClientEvent, randomEvent, randomFrom } from '../../support/traffic.ts';

const WINDOW = 30_000;
const HOUR = 3_600_000;
const DAY = 86_400_000;
const seed = Number(process.env.SEED ?? Date.now() % 1_000_000);
const iso = (ms: number) => new Date(ms).toISOString();

describeEngine(`answers as of a moment (seed ${seed})`, () => {
  let t: TestService;
  let other: TestService;
  beforeAll(async () => {
    t = await startTestService(CLOSED_BY_HAND);
    other = await startServiceOn(t.database, CLOSED_BY_HAND);
  });
  afterAll(async () => {
    await other.service.close();
    await other.sql.end();
    await t.stop();
  });

  const ask: Ask = (path, key) => t.call('GET', path, { key });
  const get = async (key: string, path: string) => {
    const { status, body } = await t.call('GET', path, { key });
    expect([status, body]).toEqual([200, body]);
    return body;
  };
  const refusal = async (key: string, path: string) => {
    const { status, body } = await t.call('GET', path, { key });
    return { status, code: body.code, at: body.errors?.map(({ pointer, code }: never) => [pointer, code]) };
  };
  const post = async (service: TestService, key: string, body: ClientEvent[]) => {
    const answer = await service.call('POST', '/v1/events', { key, body });
    expect([answer.status, answer.body]).toEqual([200, answer.body]);
  };
  const correct = async (service: TestService, key: string, kind: string, body: object) => {
    const answer = await service.call('POST', `/v1/events/${kind}`, {
      key,
      body: { reason: 'because', ...body },
    });
    expect([answer.status, answer.body]).toEqual([200, answer.body]);
    return microsOf(answer.body.at);
  };
  /** Closes one window more: what has come in before is settled. */
  const settle = async () => {
    const closed = (await closedUntil(t.sql)) + WINDOW;
    await until(async () => {
      await closeUpTo(t.sql, closed, { lockTimeoutMs: 10_000 }); // batches may be in the way
      return (await closedUntil(t.sql)) >= closed;
    });
    const { rows } = await t.sql.query(
      'select (extract(epoch from max(closed_at)) * 1000000)::bigint as micros from window_closing',
    );
    return Number(rows[0].micros);
  };
  const nowMicros = async () => {
    const { rows } = await t.sql.query(
      'select (extract(epoch from clock_timestamp()) * 1000000)::bigint as micros',
    );
    return Number(rows[0].micros);
  };
  const receivedAt = async (tenantId: string) => {
    const { rows } = await t.sql.query(
      `select id, (extract(epoch from received_at) * 1000000)::bigint as micros
       from (select tenant_id, coalesce(external_id, event_id::text) as id, received_at from event
             union all
             select tenant_id, coalesce(external_id, event_id::text), received_at from uncounted_event) as e
       where tenant_id = $1`,
      [tenantId],
    );
    return new Map<string, number>(rows.map(({ id, micros }) => [id, Number(micros)]));
  };

  it('are those of what had come in and was corrected by then, at any moment, for ever', async () => {
    const random = randomFrom(seed);
    const pick = <T>(values: readonly T[]): T => values[Math.floor(random() * values.length)]!;
    const tenant = await t.tenant();
    const { key } = tenant;
    const past = new PastModel();
    const start = await closedUntil(t.sql);
    const span = { from: start - 2 * DAY, to: start + HOUR };
    const range = `from=${iso(span.from)}&to=${iso(span.to)}`;
    const third = Math.floor(random() * 3);
    const meters = modelMeters((start - DAY) * 1_000 + 123).filter((_, i) => i % 3 === third);
    for (const { body } of meters)
      expect((await t.call('POST', '/v1/meters', { key, body })).status).toBe(201);

    const posted: ClientEvent[] = [];
    const anyEvent = (): ClientEvent => {
      const closed = start + rounds * 3 * WINDOW;
      const [from, to] = random() < 0.4 ? [span.from, start] : [closed - 4 * WINDOW, closed + 4 * WINDOW];
      const event = randomEvent(random, from, to);
      const { metadata, eventType } = randomMeterEvent(random, from, to);
      const type = random() < 0.5 ? eventType : event.eventType;
      return {
        ...event,
        timestamp: event.timestamp.replace('Z', '000Z'),
        ...(type && { eventType: type }),
        metadata: { ...event.metadata, ...metadata },
      };
    };
    let rounds = 0;
    /** What counts by now, as far as it is known: who is to be corrected. */
    let known = past.asOf(0);
    const correctSome = async (service: TestService) => {
      const kind = pick(['void', 'restore', 'amend'] as const);
      const from = [...(kind === 'restore' ? known.voided : known.events).values()];
      const events = from.filter(() => random() < 0.15);
      if (events.length === 0) return;
      const ids = events.map(({ eventId }) => eventId);
      if (kind !== 'amend') {
        past.note({ do: kind, ids, at: await correct(service, key, kind, { ids }) });
        return;
      }
      const versions = events.map(({ eventId, timestamp, customerId }) => {
        const version = { ...anyEvent(), eventId };
        return random() < 0.5 ? { ...version, timestamp, customerId } : version;
      });
      past.note({ do: 'amend', versions, at: await correct(service, key, 'amend', { events: versions }) });
    };

    const closed: (PastBackfill & { id: string })[] = [];
    /** Closes one, or reverts the last that was closed. Alone: whether what comes meanwhile is replaced, too, is anybody's guess. */
    const backfill = async (service: TestService) => {
      const asked = (path: string, body?: object) =>
        service.call('POST', path, { key, ...(body && { body }) });
      if (closed.length > 0 && random() < 0.4) {
        const last = closed.pop()!;
        const { status, body } = await asked(`/v1/backfills/${last.id}/revert`, { reason: 'because' });
        expect([status, body]).toEqual([200, body]);
        past.note({ do: 'revert', backfill: last, at: microsOf(body.reverted.at) });
        return;
      }
      const from = Math.floor(span.from + random() * 2 * DAY);
      const to = Math.min(start, Math.ceil(from + random() ** 2 * DAY) + 1);
      const customers = random() < 0.5 ? null : [...new Set([1, 2, 3].map(() => pick(CUSTOMERS)))];
      const inScope = (): ClientEvent => ({
        ...anyEvent(),
        ...(customers && { customerId: pick(customers) }),
        timestamp: iso(from + Math.floor(random() * (to - from))).replace('Z', '000Z'),
      });
      const replaces = random() < 0.5;
      const made = await asked('/v1/backfills', {
        ...{ from: iso(from), to: iso(to), replace: replaces, reason: 'because' },
        ...(customers && { customers }),
      });
      const again = [...known.events.keys(), ...known.voided.keys()].filter(() => random() < 0.15);
      const staged = [
        ...Array.from({ length: Math.ceil(random() * 10) }, inScope),
        ...again.map((eventId) => ({ ...inScope(), eventId })),
      ];
      const { id } = made.body;
      expect((await asked(`/v1/events?backfill=${id}`, staged)).body).toMatchObject({
        staged: staged.length,
      });
      const { status, body } = await asked(`/v1/backfills/${id}/close`);
      expect([status, body]).toEqual([200, body]);
      closed.push({ id, from, to, customers, replaces, staged });
      past.note({ do: 'close', backfill: closed.at(-1)!, at: microsOf(body.closed.at) });
    };

    // biome-ignore lint/suspicious/noExplicitAny: compared whole
    const remembered: { at: number; windows: any[]; usage: any[]; meter: any[] }[] = [];
    const usagePath = `/v1/usage?${range}&granularity=1h&groupBy=customer,eventType&limit=10000`;
    const meterPath = `/v1/meters/${meters[0]!.body.slug}/query?${range}&granularity=1h&groupBy=customer&limit=10000`;
    const moments: number[] = [await nowMicros()];
    for (; rounds < 5; rounds++) {
      const batches = [t, other].map((service) => {
        const events = Array.from({ length: 5 + Math.ceil(random() * 40) }, anyEvent);
        posted.push(...events);
        return post(service, key, events);
      });
      await Promise.all([...batches, correctSome(pick([t, other])), settle()]);
      const received = await receivedAt(tenant.id);
      for (const event of posted.splice(0)) {
        past.note({ do: 'add', event, at: received.get(event.eventId)! });
      }
      known = past.asOf(Number.MAX_SAFE_INTEGER);
      for (const next of [correctSome, backfill, correctSome, backfill]) {
        await next(pick([t, other]));
        known = past.asOf(Number.MAX_SAFE_INTEGER);
        if (random() < 0.4) moments.push(await nowMicros());
      }
      if (random() < 0.6) await settle();
      const at = await nowMicros();
      remembered.push({
        at,
        windows: await allPages(ask, `/v1/windows?${range}&limit=1000`, key),
        usage: await allPages(ask, usagePath, key),
        meter: await allPages(ask, meterPath, key),
      });
      moments.push(at);
    }
    const settled = await settle();
    expect(past.asOf(settled).events.size).toBeGreaterThan(50);

    const compare = async (micros: number) => {
      const asOf = isoMicros(micros);
      const model = past.asOf(micros);
      const views = USAGE_VIEWS.toSorted(() => random() - 0.5).slice(0, 2);
      await expectExact(ask, tenant, model, span.from, span.to, views, 'fine', asOf);
      const edge = span.from + Math.floor(random() * 2 * DAY);
      await expectExact(
        ask,
        tenant,
        model,
        edge,
        edge + Math.floor(random() * DAY) + 1,
        views.slice(1),
        'fine',
        asOf,
      );
      const metered = new MeterModel();
      metered.replace(
        [...model.events.values()].map(
          (e) => ({ ...e, eventType: e.eventType ?? 'api.request' }) as unknown as MeterEvent,
        ),
      );
      for (const meter of meters) {
        const query = randomMeterQuery(random, meter, span, CUSTOMERS);
        query.parameters.push(['asOf', asOf]);
        await expectMeter(ask, key, metered, meter, query);
      }
      const { asOf: used } = await get(key, `${usagePath}&asOf=${asOf}`);
      expect(used).toBe(asOf);
    };
    const anyMoment = () => moments[0]! + Math.floor(random() * (settled - moments[0]!));
    const some = moments.toSorted(() => random() - 0.5).slice(0, 7);
    const someMoments = [...some, ...Array.from({ length: 3 }, anyMoment), settled];
    for (const micros of someMoments) await compare(micros);
    for (const { at, ...answers } of remembered) {
      const asOf = `&asOf=${isoMicros(at)}`;
      expect({
        windows: await allPages(ask, `/v1/windows?${range}&limit=7${asOf}`, key),
        usage: await allPages(ask, `${usagePath.replace('10000', '9')}${asOf}`, key),
        meter: await allPages(ask, `${meterPath.replace('10000', '9')}${asOf}`, key),
      }).toEqual(answers);
      for (const state of ['open', 'closed', 'revised']) {
        const found = await allPages(ask, `/v1/windows?${range}&limit=50&state=${state}${asOf}`, key);
        const holds = state === 'closed' ? ['closed', 'revised'] : [state];
        expect(found, state).toEqual(answers.windows.filter((window) => holds.includes(window.state)));
      }
    }

    // biome-ignore lint/suspicious/noExplicitAny: as served
    const added = (sums: any[]) => ({
      calls: sums.reduce((sum, { calls }) => sum + calls, 0),
      tokens: sums.reduce((sum, { tokens }) => sum + tokens, 0),
      inputTokens: sums.reduce((sum, { inputTokens }) => sum + inputTokens, 0),
      outputTokens: sums.reduce((sum, { outputTokens }) => sum + outputTokens, 0),
      value: decimalSum(sums.map(({ value }) => value)),
    });
    const negative = (value: string) => (value.startsWith('-') ? value.slice(1) : `-${value}`);
    const totals = async (micros: number, filter: string) => {
      const path = `/v1/usage?${range}&granularity=1mo${filter}&asOf=${isoMicros(micros)}`;
      return added(await allPages(ask, path, key));
    };
    for (let i = 0; i < 12; i++) {
      const [a, b] = i < 4 ? [pick(moments), pick(moments)] : [anyMoment(), i < 8 ? settled : anyMoment()];
      const [since, through] = [Math.min(a, b), Math.max(a, b)];
      const filter = i % 3 === 0 ? `&customerId=${encodeURIComponent(pick(CUSTOMERS))}` : '';
      const path = `/v1/usage/changes?${range}&since=${isoMicros(since)}&until=${isoMicros(through)}${filter}`;
      const changes = await allPages(ask, `${path}&limit=13`, key);
      const whole = await get(key, `${path}&limit=1`);
      const [before, after] = [await totals(since, filter), await totals(through, filter)];
      const difference = {
        calls: after.calls - before.calls,
        tokens: after.tokens - before.tokens,
        inputTokens: after.inputTokens - before.inputTokens,
        outputTokens: after.outputTokens - before.outputTokens,
        value: decimalSum([after.value, negative(before.value)]),
      };
      expect(added(changes.map((change) => change.difference))).toEqual(difference);
      expect(added([whole.difference])).toEqual(difference);
      if (filter !== '') continue;
      const found = changes.map((change) => changeOf(change, change.counts));
      expect(found.sort(byTime)).toEqual(past.changes(since, through, span.from, span.to));
    }

    // Later corrections, closings and packing change nothing of it.
    known = past.asOf(Number.MAX_SAFE_INTEGER);
    await correctSome(t);
    await settle();
    if (t.database.engine === 'timescale') {
      const chunks = `select chunk, state from retention_chunk where relation = 'event'`;
      for (const { chunk } of (await t.sql.query(chunks)).rows) {
        // Of those that somebody else is at, the others will do.
        await t.sql.query('select compress_chunk($1::regclass)', [chunk]).catch(() => undefined);
      }
      expect((await t.sql.query(`${chunks} and state & 1 = 1`)).rows).not.toEqual([]);
    }
    known = past.asOf(Number.MAX_SAFE_INTEGER);
    await correctSome(t);
    known = past.asOf(Number.MAX_SAFE_INTEGER);
    await backfill(t);
    for (const micros of someMoments.slice(0, 5)) await compare(micros);
  }, 300_000);

  it('tell by which cause each event makes the difference', async () => {
    const { key } = await t.tenant();
    const closed = await closedUntil(t.sql);
    const event = (eventId: string, at: number) =>
      anEvent({ eventId, timestamp: iso(at), customerId: 'acme' });
    const [early, voided, amended, restored] = ['early', 'voided', 'amended', 'restored'].map((id) =>
      event(id, closed + 1_000),
    );
    await post(t, key, [early!, voided!, amended!, restored!]);
    await correct(t, key, 'void', { ids: ['restored'] });
    const since = isoMicros(await settle());
    await post(t, key, [event('late', closed + 2_000), event('in time', closed + 2 * WINDOW)]);
    await correct(t, key, 'void', { ids: ['voided'] });
    await correct(t, key, 'restore', { ids: ['restored'] });
    await correct(t, key, 'amend', { events: [{ ...amended!, metadata: { tokens: 5 } }] });
    const through = isoMicros(await settle());
    await correct(t, key, 'void', { ids: ['late'] });
    const range = `from=${iso(closed - HOUR)}&to=${iso(closed + HOUR)}`;
    const { data, ...page } = await get(key, `/v1/usage/changes?${range}&since=${since}&until=${through}`);
    expect(page).toMatchObject({ since, until: through, nextCursor: null });
    // biome-ignore lint/suspicious/noExplicitAny: as served
    const told = data.map(({ eventId, version, counts, cause, difference, correction }: any) => [
      ...[eventId, version, counts, cause, difference.calls, correction?.reason],
    ]);
    expect(told.sort()).toEqual(
      [
        ['late', 1, true, 'late', 1, undefined],
        ['in time', 1, true, 'in_time', 1, undefined],
        ['voided', 1, false, 'void', -1, 'because'],
        ['restored', 1, true, 'restore', 1, 'because'],
        ['amended', 1, false, 'amend', -1, 'because'],
        ['amended', 2, true, 'amend', 1, 'because'],
      ].sort(),
    );
    // Without an end: up to what is settled.
    await settle();
    const now = await get(key, `/v1/usage/changes?${range}&since=${through}`);
    expect(now.data).toMatchObject([{ eventId: 'late', counts: false, cause: 'void' }]);
    expect(now.difference.calls).toBe(-1);
    const none = await get(key, `/v1/usage/changes?${range}&since=${through}&until=${through}`);
    expect(none).toMatchObject({ data: [], difference: { calls: 0, tokens: 0, value: '0' } });
  });

  it('are of the last closing where what came after it may still be under way', async () => {
    const { key } = await t.tenant();
    const settled = await settle();
    await post(t, key, [anEvent({ timestamp: iso(Date.now()) })]);
    const now = isoMicros(await nowMicros());
    const range = `from=${iso(Date.now() - HOUR)}&to=${iso(Date.now() + HOUR)}`;
    const before = await get(key, `/v1/usage?${range}&asOf=${now}`);
    expect(before).toMatchObject({ asOf: isoMicros(settled), data: [] });
    await settle();
    const after = await get(key, `/v1/usage?${range}&asOf=${now}`);
    expect(after).toMatchObject({ asOf: now, data: [{ calls: 1 }] });
    const csv = await t.call('GET', `/v1/usage?${range}&asOf=${now}`, {
      key,
      headers: { accept: 'text/csv' },
    });
    expect(csv.headers.get('x-as-of')).toBe(now);
  });

  it('keep what pages are of, also when it is settled further meanwhile', async () => {
    for (const list of ['/v1/usage?groupBy=customer&', '/v1/windows?']) {
      const { key } = await t.tenant();
      const at = await closedUntil(t.sql);
      const events = () => ['a', 'b', 'c'].map((customerId) => anEvent({ customerId, timestamp: iso(at) }));
      await post(t, key, events());
      const settled = isoMicros(await settle());
      await post(t, key, events());
      const asOf = isoMicros(await nowMicros());
      const range = `from=${iso(at - HOUR)}&to=${iso(at + HOUR)}&limit=1`;
      const first = await get(key, `${list}${range}&asOf=${asOf}`);
      expect(first.asOf).toBe(settled);
      await settle();
      const second = await get(key, `${list}${range}&asOf=${asOf}&cursor=${first.nextCursor}`);
      expect(second).toMatchObject({ asOf: settled, data: [{ customerId: 'b' }] });
      expect(second.data[0].aggregations?.totalCalls ?? second.data[0].calls).toBe(1);

      const now = await refusal(key, `${list}${range}&cursor=${first.nextCursor}`);
      expect(now).toMatchObject({ status: 400, code: 'cursor_invalid' });
      const ahead = first.nextCursor.replace(/^\d+/, (micros: string) => String(Number(micros) + 1e12));
      for (const forged of [ahead, `.${first.nextCursor}`, first.nextCursor.replace('.', '')]) {
        const refused = await refusal(key, `${list}${range}&asOf=${asOf}&cursor=${forged}`);
        expect(refused).toMatchObject({ status: 400, code: 'cursor_invalid' });
      }
    }
  });

  it('lack no batch: one that began before windows closed does not get in after it', async () => {
    const enter = `select closed_until from begin_batch('infinity', (select interest_version from window_state))`;
    const batch = await t.sql.connect();
    try {
      await batch.query('begin');
      await settle();
      await expect(batch.query(enter)).rejects.toMatchObject({ code: 'TM001' });
      await batch.query('rollback');
      await batch.query('begin');
      await batch.query(enter);
      await batch.query('rollback');
      // Where the clock has been set back, it is let in all the same.
      await batch.query(`begin; update window_state set settled_at = clock_timestamp() + interval '1 hour'`);
      await batch.query(enter);
    } finally {
      await batch.query('rollback');
      batch.release();
    }
  });

  it('are refused where they cannot be told', async () => {
    const { key } = await t.tenant();
    const meter = { slug: 'calls', eventType: 'api.request', aggregation: 'count' };
    await t.call('POST', '/v1/meters', { key, body: meter });
    const lists = ['/v1/usage', '/v1/windows', '/v1/meters/calls/query'];
    const future = iso(Date.now() + HOUR);
    for (const list of lists) {
      expect(await refusal(key, `${list}?asOf=${future}`)).toEqual({
        ...{ status: 400, code: 'as_of_in_future', at: [['/asOf', 'as_of_in_future']] },
      });
      expect(await refusal(key, `${list}?asOf=yesterday`)).toEqual({
        ...{ status: 400, code: 'invalid_request', at: [['/asOf', 'time_invalid']] },
      });
    }
    const now = iso(Date.now() - 1_000);
    for (const path of [
      `/v1/usage?cost=true&asOf=${now}`,
      `/v1/windows?digest=true&asOf=${now}`,
      `/v1/windows?closedAfter=${now}&asOf=${now}`,
    ]) {
      expect(await refusal(key, path)).toMatchObject({ status: 400, at: [['/asOf', 'not_allowed']] });
    }
    const changes = '/v1/usage/changes';
    const lastDay = await get(key, changes);
    expect(Date.parse(lastDay.until) - Date.parse(lastDay.since)).toBe(DAY);
    expect(await refusal(key, `${changes}?since=${future}`)).toMatchObject({
      at: [['/since', 'as_of_in_future']],
    });
    expect(await refusal(key, `${changes}?since=${now}&until=${future}`)).toMatchObject({
      at: [['/until', 'as_of_in_future']],
    });
    await settle();
    const earlier = iso(Date.now() - HOUR);
    expect(await refusal(key, `${changes}?since=${iso(Date.now() - 500)}&until=${earlier}`)).toMatchObject({
      status: 400,
      at: [['/since', 'range_invalid']],
    });

    const kept = Math.floor(Date.now() / DAY) * DAY - 2 * DAY;
    await t.sql.query(`update retention set kept_from = $1 where relation = 'event'`, [new Date(kept)]);
    try {
      for (const list of lists) {
        const range = `from=${iso(kept)}&to=${iso(kept + HOUR)}`;
        expect(await refusal(key, `${list}?${range}&asOf=${iso(kept - 1)}`)).toEqual({
          ...{ status: 400, code: 'as_of_not_kept', at: [['/asOf', 'as_of_not_kept']] },
        });
        expect((await t.call('GET', `${list}?${range}&asOf=${iso(kept)}`, { key })).status).toBe(200);
        const before = `from=${iso(kept - 1)}&to=${iso(kept + HOUR)}`;
        expect(await refusal(key, `${list}?${before}&asOf=${now}`)).toMatchObject({ code: 'range_not_kept' });
      }
      // By default it begins where events are kept.
      expect((await t.call('GET', `/v1/usage?granularity=1d&asOf=${now}`, { key })).status).toBe(200);
    } finally {
      await t.sql.query(`update retention set kept_from = '-infinity' where relation = 'event'`);
    }
  });
});
