import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createKey } from '../../../src/access/tenancy/keys.ts';
import { CLOSED_BY_HAND, closedUntil, closeUpTo } from '../../support/closing.ts';
import { describeEngine } from '../../support/database.ts';
import { startTestService, type TestService, until } from '../../support/service.ts';
import { anEvent, type ClientEvent } from '../../support/traffic.ts';

const WINDOW = 30_000;
const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const iso = (ms: number) => new Date(ms).toISOString();

describeEngine('corrections', () => {
  let t: TestService;
  beforeAll(async () => {
    t = await startTestService(CLOSED_BY_HAND);
  });
  afterAll(() => t.stop());

  const post = async (key: string, ...body: object[]) => {
    const answer = await t.call('POST', '/v1/events', { key, body });
    expect([answer.status, answer.body]).toEqual([200, answer.body]);
    return answer.body;
  };
  const correct = (key: string, kind: string, body: object) =>
    t.call('POST', `/v1/events/${kind}`, { key, body: { reason: 'because', ...body } });
  const done = async (key: string, kind: string, body: object) => {
    const answer = await correct(key, kind, body);
    expect([answer.status, answer.body]).toEqual([200, answer.body]);
    return answer.body;
  };
  const callsOf = async (key: string, more = '') => {
    const range = `from=${iso(Date.now() - 20 * DAY)}&to=${iso(Date.now() + DAY)}`;
    const { body } = await t.call('GET', `/v1/usage?granularity=1d&${range}${more}`, { key });
    return body.data.reduce((sum: number, { calls }: { calls: number }) => sum + calls, 0);
  };

  const retriesOf = async () =>
    Number(/^tidemark_correction_retries_total (\d+)$/m.exec((await t.call('GET', '/metrics')).body)![1]);

  it('need a scope of their own, which a tenant may give its keys', async () => {
    const { id, key } = await t.tenant();
    const event = anEvent();
    await post(key, event);
    const { key: other } = await createKey(t.sql, { tenantId: id, scopes: ['ingest', 'read', 'admin'] });
    for (const kind of ['void', 'restore', 'amend']) {
      const body = kind === 'amend' ? { events: [event] } : { ids: [event.eventId] };
      expect((await correct(other, kind, body)).body).toMatchObject({ status: 403, code: 'scope_missing' });
    }
    const made = await t.call('POST', '/v1/keys', { key, body: { scopes: ['correct'] } });
    expect(made.status).toBe(201);
    expect(await done(made.body.key, 'void', { ids: [event.eventId] })).toMatchObject({ events: 1 });
    const { body } = await t.call('GET', '/v1/events', { key });
    expect(body.data).toMatchObject([
      {
        eventId: event.eventId,
        voidedAt: expect.any(String),
        correction: { reason: 'because', actor: { kind: 'key', keyId: made.body.id } },
      },
    ]);
    const log = await t.call('GET', '/v1/audit-log', { key });
    expect(log.body.data[0]).toMatchObject({
      action: 'events.voided',
      target: body.data[0].correction.id,
      actor: { kind: 'key', keyId: made.body.id },
      changes: {
        before: null,
        after: { reason: 'because', events: 1, windows: 1, eventIds: [event.eventId] },
      },
    });
  });

  it('are all or nothing: one event that is void already refuses the call, an unknown one is told', async () => {
    const { key } = await t.tenant();
    const [a, b, c] = [anEvent(), anEvent(), anEvent({ eventId: `c ${randomUUID()}` })];
    await post(key, a, b, c);
    const unknown = [randomUUID(), 'nobody knows this'];
    expect(await done(key, 'void', { ids: [a.eventId, unknown[0]!, c.eventId, unknown[1]!] })).toMatchObject({
      events: 2,
      unknown,
    });
    expect(await callsOf(key)).toBe(1);
    const again = await correct(key, 'void', { ids: [b.eventId, c.eventId, a.eventId] });
    expect(again.body).toMatchObject({
      status: 409,
      code: 'event_voided',
      errors: [
        { index: 1, pointer: '/ids/1', code: 'event_voided' },
        { index: 2, pointer: '/ids/2', code: 'event_voided' },
      ],
    });
    expect((await correct(key, 'amend', { events: [b, a] })).body).toMatchObject({
      code: 'event_voided',
      errors: [{ index: 1, pointer: '/eventId' }],
    });
    expect((await correct(key, 'restore', { events: [{ eventId: b.eventId }] })).body).toMatchObject({
      status: 409,
      code: 'event_not_voided',
      errors: [{ index: 0, pointer: '/events/0/eventId' }],
    });
    const twice = await correct(key, 'void', { ids: [b.eventId, b.eventId.toUpperCase()] });
    expect(twice.body).toMatchObject({ status: 422, code: 'event_repeated', errors: [{ index: 1 }] });
    expect(await callsOf(key)).toBe(1);
    const nothing = await done(key, 'void', { ids: unknown });
    expect(nothing).toEqual({ correctionId: null, at: null, events: 0, windows: 0, unknown });
    expect(await done(key, 'restore', { ids: [a.eventId, c.eventId] })).toMatchObject({ events: 2 });
    expect(await callsOf(key)).toBe(3);
  });

  it('refuse what cannot be meant', async () => {
    const { key } = await t.tenant();
    const event = anEvent();
    await post(key, event);
    const refused: [string, object | string, number, string][] = [
      ['void', {}, 400, 'invalid_request'],
      ['void', { ids: [event.eventId], events: [{ eventId: event.eventId }] }, 400, 'invalid_request'],
      ['void', { ids: [] }, 400, 'invalid_request'],
      ['void', { ids: [''] }, 400, 'invalid_request'],
      ['void', { ids: ['a\0b'] }, 400, 'invalid_request'],
      ['void', { ids: [5] }, 400, 'invalid_request'],
      ['void', { ids: [event.eventId], reason: '' }, 400, 'invalid_request'],
      ['void', { ids: [event.eventId], reason: undefined }, 400, 'invalid_request'],
      ['void', { ids: [event.eventId], more: 1 }, 400, 'invalid_request'],
      ['void', { events: [{ eventId: event.eventId, timestamp: 'yesterday' }] }, 400, 'invalid_request'],
      ['void', { ids: Array(10_001).fill('x') }, 413, 'too_many_events'],
      ['amend', { events: Array(10_001).fill(event) }, 413, 'too_many_events'],
      ['amend', { events: [] }, 400, 'empty_batch'],
      ['amend', { events: 5 }, 400, 'invalid_request'],
      ['amend', { events: [{ ...event, value: 'much' }] }, 422, 'invalid_events'],
      ['amend', { events: [{ ...event, tenantId: 'another' }] }, 403, 'tenant_mismatch'],
      ['amend', { events: [{ ...event, timestamp: iso(Date.now() - 31 * DAY) }] }, 422, 'invalid_events'],
      ['amend', { events: [{ ...event, timestamp: iso(Date.now() + 2 * DAY) }] }, 422, 'invalid_events'],
    ];
    for (const [kind, body, status, code] of refused) {
      const answer = await correct(key, kind, body as object);
      expect([kind, answer.status, answer.body.code]).toEqual([kind, status, code]);
    }
    for (const body of ['{', '[]', 'null', '5']) {
      for (const kind of ['void', 'restore', 'amend']) {
        const answer = await t.call('POST', `/v1/events/${kind}`, { key, body });
        expect([kind, body, answer.status]).toEqual([kind, body, 400]);
      }
    }
    const old = await correct(key, 'amend', { events: [event, { ...event, timestamp: iso(0) }] });
    expect(old.body.errors).toMatchObject([{ index: 1, pointer: '/timestamp', code: 'timestamp_too_old' }]);
    expect(await callsOf(key)).toBe(1);
  });

  it('a retry of what is void is a duplicate that says so, and is not counted', async () => {
    const { key } = await t.tenant();
    const [a, b] = [anEvent(), anEvent()];
    await post(key, a, b);
    await done(key, 'void', { ids: [a.eventId] });
    expect(await post(key, a, b, anEvent())).toEqual({ accepted: 1, duplicates: 2, voided: 1 });
    const { body } = await t.call('POST', '/v1/events?onInvalid=skip', { key, body: [a, b] });
    expect(body).toEqual({
      accepted: 0,
      duplicates: 2,
      voided: 1,
      rejected: 0,
      results: [
        { index: 0, status: 'duplicate', voided: true },
        { index: 1, status: 'duplicate' },
      ],
    });
    expect(await callsOf(key)).toBe(2);
    await done(key, 'restore', { ids: [a.eventId] });
    expect(await post(key, a)).toEqual({ accepted: 0, duplicates: 1 });
    expect(await callsOf(key)).toBe(3);
  });

  it('every version of an event is there, with what was done to it', async () => {
    const { key } = await t.tenant();
    const first = anEvent({ eventId: `order ${randomUUID()}`, value: '1.10' });
    const path = `/v1/events/${encodeURIComponent(first.eventId)}`;
    expect((await t.call('GET', path, { key })).status).toBe(404);
    await post(key, first);
    expect((await t.call('GET', path, { key })).body).toMatchObject({
      state: 'counted',
      versions: [{ version: 1, state: 'counted', event: { value: '1.1' } }],
      corrections: [],
    });
    const second: ClientEvent = {
      ...first,
      value: '2.2',
      customerId: 'new',
      timestamp: iso(Date.now() - DAY),
    };
    await done(key, 'amend', { events: [second], reason: 'the price' });
    await done(key, 'amend', { events: [{ ...second, value: '12345678901234567890.5' }] });
    await done(key, 'void', { ids: [first.eventId] });
    const voided = (await t.call('GET', path, { key })).body;
    expect(voided).toMatchObject({
      eventId: first.eventId,
      state: 'voided',
      versions: [
        { version: 1, state: 'superseded', event: { customerId: 'customer-1', value: '1.1' } },
        { version: 2, state: 'superseded', event: { customerId: 'new', value: '2.2' } },
        { version: 3, state: 'voided', event: { value: '12345678901234567890.5' } },
      ],
      corrections: [{ kind: 'amend', reason: 'the price' }, { kind: 'amend' }, { kind: 'void' }],
    });
    await done(key, 'restore', { ids: [first.eventId] });
    const restored = (await t.call('GET', path, { key })).body;
    expect(restored.versions[2]).toMatchObject({ version: 3, state: 'counted' });
    expect(restored.corrections).toHaveLength(4);
    expect(restored.versions.map(({ event }: { event: { receivedAt: string } }) => event.receivedAt)).toEqual(
      Array(3).fill(voided.versions[0].event.receivedAt),
    );
    expect(await callsOf(key, '&customerId=new')).toBe(1);
    const customers = await t.call('GET', '/v1/customers', { key });
    expect(customers.body.data.map(({ customerId }: { customerId: string }) => customerId)).toEqual([
      'customer-1',
      'new',
    ]);
  });

  it('events of other dialects have the ids that they are listed with', async () => {
    const { key } = await t.tenant();
    const cloud = { specversion: '1.0', id: 'x 1', source: '/s', type: 'click', subject: 'acme' };
    const headers = { 'content-type': 'application/cloudevents+json' };
    expect((await t.call('POST', '/v1/events', { key, body: JSON.stringify(cloud), headers })).status).toBe(
      200,
    );
    const { body } = await t.call('GET', '/v1/events', { key });
    expect(body.data[0].eventId).toBe('/s x 1');
    const increment = { key: 'clicks', value: '2.5' };
    const idempotent = { 'idempotency-key': '"of mine"' };
    await t.call('POST', '/increment', { key, body: increment, headers: idempotent });
    const clicks = async () => (await t.call('GET', '/v1/counters/clicks', { key })).body.value;
    expect(await clicks()).toBe('2.5');
    expect(await done(key, 'void', { ids: ['/s x 1', 'of mine'] })).toMatchObject({ events: 2, unknown: [] });
    expect(await clicks()).toBe('0');
    await t.call('POST', '/increment', { key, body: increment, headers: idempotent });
    expect(await clicks()).toBe('0');
    await done(key, 'restore', { ids: ['of mine'] });
    expect(await clicks()).toBe('2.5');
    // Several that are called the same.
    const native = anEvent({ eventId: '/s x 1', timestamp: iso(Date.now() - HOUR) });
    await post(key, native);
    expect((await correct(key, 'restore', { ids: ['/s x 1'] })).body).toMatchObject({
      status: 409,
      code: 'event_ambiguous',
    });
    const told = { events: [{ eventId: native.eventId, timestamp: native.timestamp }] };
    expect(await done(key, 'void', told)).toMatchObject({ events: 1 });
    const first = { events: [{ eventId: '/s x 1', timestamp: body.data[0].timestamp }] };
    expect(await done(key, 'restore', first)).toMatchObject({ events: 1 });
    expect(await callsOf(key)).toBe(2);
  });

  it('an Idempotency-Key may be a UUID, in whatever case', async () => {
    const { key } = await t.tenant();
    const idempotencyKey = randomUUID().toUpperCase();
    const increment = { key: 'clicks', value: '2.5' };
    const headers = { 'idempotency-key': `"${idempotencyKey}"` };
    await t.call('POST', '/increment', { key, body: increment, headers });
    const clicks = async () => (await t.call('GET', '/v1/counters/clicks', { key })).body.value;
    expect(await done(key, 'void', { ids: [idempotencyKey] })).toMatchObject({ events: 1, unknown: [] });
    expect(await clicks()).toBe('0');
    await done(key, 'restore', { ids: [idempotencyKey] });
    const version = anEvent({
      eventId: idempotencyKey,
      customerId: 'clicks',
      eventType: 'counter.increment',
      value: '4',
    });
    expect(await done(key, 'amend', { events: [version] })).toMatchObject({ events: 1, unknown: [] });
    expect(await clicks()).toBe('4');
    const { body } = await t.call('GET', `/v1/events/${idempotencyKey}`, { key });
    expect([body.eventId, body.versions.length]).toEqual([idempotencyKey, 2]);
  });

  it("events of Lago's client are found by what they are listed as and their time", async () => {
    const { key } = await t.tenant();
    const event = { transaction_id: 'one', external_subscription_id: 'sub', code: 'calls' };
    expect((await t.call('POST', '/api/v1/events', { key, body: { event } })).status).toBe(200);
    const listed = (await t.call('GET', '/v1/events', { key })).body.data[0];
    const named = { events: [{ eventId: 'one', timestamp: listed.timestamp }] };
    const read = () => t.call('GET', `/v1/events/one?timestamp=${listed.timestamp}`, { key });
    expect((await read()).body).toMatchObject({ eventId: 'one', state: 'counted' });
    expect(await done(key, 'void', { ids: ['one'] })).toMatchObject({ events: 0, unknown: ['one'] });
    expect(await done(key, 'void', named)).toMatchObject({ events: 1, unknown: [] });
    expect((await correct(key, 'void', named)).body).toMatchObject({ code: 'event_voided' });
    expect((await read()).body).toMatchObject({ eventId: 'one', state: 'voided' });
    expect(await done(key, 'restore', named)).toMatchObject({ events: 1, unknown: [] });
    expect(await callsOf(key)).toBe(1);
  });

  it('what has come from far away in time is found, and what is past its horizon by its time', async () => {
    const { id, key } = await t.tenant();
    const events = [0.001, 0.2, 3, 26].map((days) => anEvent({ timestamp: iso(Date.now() - days * DAY) }));
    await post(key, ...events);
    // Stored when the clock of the database was two days behind.
    const ahead = anEvent();
    await post(key, ahead);
    await t.sql.query(
      `with stored as (select received_at from event where event_id = $1), claimed as (
         update event_key set received_at = received_at - interval '2 days'
         where received_at = (select received_at from stored)
       )
       update event set received_at = received_at - interval '2 days' where event_id = $1`,
      [ahead.eventId],
    );
    expect(await done(key, 'void', { ids: [ahead.eventId] })).toMatchObject({ events: 1 });
    const forgotten = anEvent({ timestamp: iso(Date.now() - 2 * DAY) });
    await post(key, forgotten);
    const found = await t.call('GET', `/v1/events/${events[3]!.eventId}`, { key });
    expect(found.body.versions[0].event.timestamp).toBe(events[3]!.timestamp);
    expect(await done(key, 'void', { ids: events.map(({ eventId }) => eventId) })).toMatchObject({
      events: 4,
    });
    // As once its id is pruned.
    await t.sql.query(
      `delete from event_key where received_at = (select received_at from event where tenant_id = $1)`,
      [id],
    );
    expect(await done(key, 'void', { ids: [forgotten.eventId] })).toMatchObject({ events: 0 });
    const told = { events: [{ eventId: forgotten.eventId, timestamp: forgotten.timestamp }] };
    expect(await done(key, 'void', told)).toMatchObject({ events: 1 });
    expect(await callsOf(key)).toBe(0);
    // It is posted again, and counts; the other one stays void. Between the two lies its horizon.
    await t.sql.query(
      `update uncounted_event set received_at = received_at - interval '2 days' where event_id = $1`,
      [forgotten.eventId],
    );
    await post(key, forgotten);
    expect((await correct(key, 'restore', told)).body).toMatchObject({ code: 'event_counted_again' });
    expect(await callsOf(key)).toBe(1);
  });

  it('one version takes the place of an event that was counted twice, past its horizon', async () => {
    const { id, key } = await t.tenant();
    const event = anEvent();
    await post(key, event);
    await t.sql.query(
      `delete from event_key where received_at = (select received_at from event where tenant_id = $1)`,
      [id],
    );
    expect(await post(key, event)).toEqual({ accepted: 1, duplicates: 0 });
    expect(await callsOf(key)).toBe(2);
    const version = { ...event, customerId: 'another' };
    expect(await done(key, 'amend', { events: [version] })).toMatchObject({ events: 1, windows: 2 });
    expect(await callsOf(key)).toBe(1);
    const { body } = await t.call('GET', `/v1/events/${event.eventId}`, { key });
    expect(body.versions.map(({ state }: { state: string }) => state)).toEqual([
      'superseded',
      'superseded',
      'counted',
    ]);
    await done(key, 'void', { ids: [event.eventId] });
    await done(key, 'restore', { ids: [event.eventId] });
    expect(await callsOf(key, '&customerId=another')).toBe(1);
  });

  it('what is packed wholly follows, and so do the levels of meters', async () => {
    const { key } = await t.tenant();
    const meter = { slug: 'packed', eventType: 'packed', aggregation: 'sum', value: '$.value' };
    expect((await t.call('POST', '/v1/meters', { key, body: meter })).status).toBe(201);
    const timestamp = iso(Date.now() - 12 * DAY);
    const events = ['1', '20', '300'].map((value) => anEvent({ timestamp, eventType: 'packed', value }));
    await post(key, ...events);
    const pack = async () => {
      if (t.database.engine === 'postgres') return;
      await t.sql.query(
        `select compress_chunk(chunk, true)
         from unnest(array['event', 'meter_30s', 'meter_1h']) as name, show_chunks(name::regclass) as chunk
         order by name`,
      );
    };
    const sum = async () => {
      await until(async () => (await t.sql.query('select from meter_part limit 1')).rowCount === 0);
      const range = `from=${iso(Date.now() - 13 * DAY)}&to=${iso(Date.now() - 11 * DAY)}`;
      const { body } = await t.call('GET', `/v1/meters/packed/query?${range}`, { key });
      return body.data[0].value;
    };
    expect(await sum()).toBe('321');
    const ids = [events[0]!.eventId];
    const version = { ...events[1]!, value: '10' };
    for (const [kind, body, value] of [
      ['void', { ids }, '320'],
      ['amend', { events: [version] }, '310'],
      ['restore', { ids }, '311'],
    ] as const) {
      await pack();
      await done(key, kind, body);
      expect(await sum()).toBe(value);
    }
  });

  it('many of a packed day go at once, whatever lies between them', async () => {
    const { key } = await t.tenant();
    const day = Math.floor(Date.now() / DAY) * DAY - 13 * DAY;
    const all = Array.from({ length: 300 }, (_, i) =>
      anEvent({ timestamp: iso(day + Math.floor(((i * DAY) / 300) * 0.9)), customerId: `c${i % 7}` }),
    );
    await post(key, ...all);
    const pack = async () => {
      if (t.database.engine === 'postgres') return;
      await t.sql.query(
        `select compress_chunk(chunk, true) from show_chunks('event') as chunk order by chunk`,
      );
    };
    await pack();
    const gone = all.filter((_, i) => i % 5 === 0);
    const ids = gone.map(({ eventId }) => eventId);
    expect(await done(key, 'void', { ids })).toMatchObject({ events: 60, unknown: [] });
    expect(await callsOf(key)).toBe(240);
    expect(await callsOf(key, '&customerId=c0')).toBe(
      all.filter((_, i) => i % 7 === 0 && i % 5 !== 0).length,
    );
    await pack();
    const versions = gone.map((event) => ({ ...event, customerId: 'other' }));
    expect((await correct(key, 'amend', { events: versions })).body).toMatchObject({ code: 'event_voided' });
    expect(await done(key, 'restore', { ids })).toMatchObject({ events: 60, unknown: [] });
    await pack();
    expect(await done(key, 'amend', { events: versions })).toMatchObject({ events: 60, unknown: [] });
    expect([await callsOf(key), await callsOf(key, '&customerId=other')]).toEqual([300, 60]);
  });

  it('are not done again when chunks of other days are packed beside them', async () => {
    if (t.database.engine === 'postgres') return; // nothing is packed there
    const { key } = await t.tenant();
    const meter = { slug: 'beside', eventType: 'api.request', aggregation: 'count' };
    expect((await t.call('POST', '/v1/meters', { key, body: meter })).status).toBe(201);
    const [event, far] = [anEvent(), anEvent({ timestamp: iso(Date.now() - 17 * DAY) })];
    await post(key, event, far);
    // A restoration: what takes events out, a DELETE, locks the chunks of all days.
    await done(key, 'void', { ids: [event.eventId] });
    const before = await retriesOf();
    const [folds, holder] = [new pg.Client(t.database.url), new pg.Client(t.database.url)];
    await Promise.all([folds.connect(), holder.connect()]);
    const waitsAt = (table: string) =>
      until(async () => {
        const { rows } = await t.sql.query(
          `select from pg_locks where relation = $1::regclass and not granted`,
          [table],
        );
        return rows.length > 0;
      });
    try {
      // Who folds or fills would else wait in its place, with the lock that it needs first; it is next in line for that.
      await folds.query('begin; lock table meter_fold in exclusive mode');
      await holder.query('begin; lock table meter_part in access exclusive mode');
      const restoring = done(key, 'restore', { ids: [event.eventId] });
      await waitsAt('meter_fold');
      await folds.query('commit');
      await waitsAt('meter_part');
      const { rows } = await t.sql.query(
        `select compress_chunk(chunk::regclass) from retention_chunk
         where relation = 'event' and range_start <= $1 and range_end > $1 and state <> 1`,
        [far.timestamp],
      );
      expect(rows).toHaveLength(1);
      await holder.query('commit');
      expect(await restoring).toMatchObject({ events: 1 });
    } finally {
      await Promise.all([folds.end(), holder.end()]);
    }
    expect(await retriesOf()).toBe(before);
  });

  it('wait for who packs their chunk before they have read it, so that he is not kept from ending', async () => {
    if (t.database.engine === 'postgres') return; // nothing is packed there
    const { key } = await t.tenant();
    const event = anEvent({ timestamp: iso(Date.now() - 16 * DAY) });
    await post(key, event);
    const { rows } = await t.sql.query(
      `select chunk from retention_chunk where relation = 'event' and range_start <= $1 and range_end > $1`,
      [event.timestamp],
    );
    const before = await retriesOf();
    const packer = new pg.Client(t.database.url);
    await packer.connect();
    try {
      await packer.query(`begin; lock table ${rows[0].chunk} in exclusive mode`);
      const voiding = done(key, 'void', { ids: [event.eventId] });
      await until(async () => {
        const waiting = await t.sql.query(
          'select from pg_locks where relation = $1::regclass and not granted',
          [rows[0].chunk],
        );
        return waiting.rows.length === 1;
      });
      await packer.query(`lock table ${rows[0].chunk} in access exclusive mode`);
      await packer.query('commit');
      expect(await voiding).toMatchObject({ events: 1 });
    } finally {
      await packer.end();
    }
    expect(await retriesOf()).toBe(before);
  });

  it('records, sessions, live sums and costs follow in the next read', async () => {
    const { key } = await t.tenant();
    const price = { model: 'gpt-4', currency: 'USD', unitPrices: { input: '0.5' } };
    expect((await t.call('POST', '/v1/prices', { key, body: price })).status).toBe(201);
    const now = Date.now();
    const call = (input: number) =>
      anEvent({
        timestamp: iso(now),
        reference: 'r',
        metadata: { model: 'gpt-4', inputTokens: input, outputTokens: 0 },
      });
    const record = (value: string, type: string) => ({
      ...anEvent({
        timestamp: iso(now),
        customerId: 'shop',
        reference: 'r',
        value,
        eventType: type,
        metadata: {},
      }),
      apiEndpoint: undefined,
    });
    const [a, b, c, d] = [call(10), call(4), record('5', 'positive'), record('2', 'negative')];
    await post(key, a, b, c, d);
    const all = async () => {
      const session = (await t.call('GET', '/v1/sessions/r', { key })).body;
      const [group] = (await t.call('GET', '/v1/records', { key })).body.data;
      const live = (await t.call('GET', '/v1/live', { key })).body;
      const costs = (await t.call('GET', `/v1/costs?from=${iso(now - DAY)}&to=${iso(now + DAY)}`, { key }))
        .body;
      return {
        session: [session.events, session.value, session.tokens],
        records: [group?.totalValue, group?.count],
        live: [
          live.current.totalCalls + live.previous.totalCalls,
          live.current.totalTokens + live.previous.totalTokens,
        ],
        cost: costs.data.map(({ costs: [of] }: { costs: { amount: string }[] }) => of?.amount),
      };
    };
    const before = await all();
    expect(before).toMatchObject({ session: [4, '3', 14], records: ['3', 2], live: [4, 14], cost: ['7'] });
    await done(key, 'void', { ids: [a.eventId, c.eventId] });
    expect(await all()).toMatchObject({
      session: [2, '-2', 4],
      records: ['-2', 1],
      live: [2, 4],
      cost: ['2'],
    });
    await done(key, 'amend', { events: [{ ...b, metadata: { ...b.metadata, inputTokens: 6 } }] });
    expect(await all()).toMatchObject({
      session: [2, '-2', 6],
      records: ['-2', 1],
      live: [2, 6],
      cost: ['3'],
    });
    await done(key, 'restore', { ids: [a.eventId, c.eventId] });
    expect(await all()).toMatchObject({
      session: [4, '3', 16],
      records: ['3', 2],
      live: [4, 16],
      cost: ['8'],
    });
  });

  it('each window has one more revision, an emptied one is told of, and an open one is final when it closes', async () => {
    const { id, key } = await t.tenant();
    await t.call('POST', '/v1/subscriptions', {
      key,
      body: { stream: 'out', messageTypes: ['window.closed', 'window.revised'] },
    });
    const closed = await closedUntil(t.sql);
    const at = (window: number, more: Partial<ClientEvent> = {}) =>
      anEvent({ timestamp: iso(closed + window * WINDOW + 1_000), ...more });
    const [early, open, rest] = [at(0), at(3), at(3)];
    await post(key, early, open, rest);
    await closeUpTo(t.sql, closed + 2 * WINDOW);
    const messages = async () => {
      const { rows } = await t.sql.query(
        `select type, payload ->> 'windowStart' as start, payload -> 'revision' as revision, payload ->> 'state' as state,
           payload #> '{aggregations,totalCalls}' as calls from outbox where tenant_id = $1 order by id`,
        [id],
      );
      return rows;
    };
    await until(async () => (await messages()).length === 1);
    const { closedThrough } = (await t.call('GET', `/v1/windows?closedAfter=${iso(0)}`, { key })).body;
    expect(await done(key, 'void', { ids: [early.eventId, open.eventId] })).toMatchObject({ windows: 2 });
    const start = iso(closed);
    expect((await messages()).slice(1)).toEqual([
      { type: 'window.revised', start, revision: 1, state: 'revised', calls: 0 },
    ]);
    const range = `from=${start}&to=${iso(closed + 10 * WINDOW)}`;
    const windows = async (more = '') =>
      (await t.call('GET', `/v1/windows?${range}${more}`, { key })).body.data.map(
        // biome-ignore lint/suspicious/noExplicitAny: as served
        ({ windowStart, state, revision, aggregations }: any) => [
          windowStart,
          state,
          revision,
          aggregations.totalCalls,
        ],
      );
    const third = iso(closed + 3 * WINDOW);
    expect(await windows()).toEqual([
      [start, 'revised', 1, 0],
      [third, 'open', 1, 1],
    ]);
    expect(await windows('&state=revised')).toEqual([[start, 'revised', 1, 0]]);
    await closeUpTo(t.sql, closed + 5 * WINDOW);
    await until(async () => (await messages()).length === 3);
    expect((await messages())[2]).toEqual({
      type: 'window.closed',
      start: third,
      revision: 1,
      state: 'revised',
      calls: 1,
    });
    const polled = (await t.call('GET', `/v1/windows?closedAfter=${closedThrough}`, { key })).body.data;
    expect(polled.map(({ windowStart }: { windowStart: string }) => windowStart)).toEqual([start, third]);
    const history = await t.call('GET', `/v1/windows/history?customerId=customer-1&windowStart=${start}`, {
      key,
    });
    expect(history.body.data).toMatchObject([
      {
        windowStart: start,
        customerId: 'customer-1',
        revision: 1,
        cause: 'void',
        events: 1,
        difference: { calls: -1, tokens: -10 },
      },
    ]);
    const late = at(0);
    await post(key, late);
    const after = await t.call('GET', `/v1/windows/history?${range}`, { key });
    expect(
      after.body.data.map(({ revision, cause }: { revision: number; cause: string }) => [revision, cause]),
    ).toEqual([
      [1, 'void'],
      [2, 'late'],
      [1, 'void'],
    ]);
    const counts = async (more: string) =>
      (await t.call('GET', `/v1/windows/history/counts?${range}${more}`, { key })).body;
    const each = await counts('&granularity=30s');
    expect(each).toEqual({
      data: [
        { start, windows: 1, revisions: 2, causes: { void: 1, late: 1 } },
        { start: third, windows: 1, revisions: 1, causes: { void: 1 } },
      ],
      nextCursor: null,
      closedUntil: iso(closed + 5 * WINDOW),
    });
    const one = await counts('&granularity=30s&limit=1');
    expect(one.data).toEqual(each.data.slice(0, 1));
    const next = await counts(`&granularity=30s&limit=1&cursor=${one.nextCursor}`);
    expect(next).toMatchObject({ data: each.data.slice(1), nextCursor: null });
    const days = (await counts('&granularity=1d')).data;
    expect(days.map((day: { start: string }) => Date.parse(day.start) % 86_400_000)).toEqual(
      days.map(() => 0),
    );
    const sum = days.reduce((n: number, day: { revisions: number }) => n + day.revisions, 0);
    expect(sum).toBe(after.body.data.length);
    expect((await counts('&customerId=nobody')).data).toEqual([]);
    const listed = await t.call('GET', `/v1/windows/${start}/customers/customer-1/revisions/2/events`, {
      key,
    });
    expect(listed.body.data).toEqual([{ eventId: late.eventId, counts: true }]);
    expect(
      (await t.call('GET', `/v1/windows/${start}/customers/customer-1/revisions/9/events`, { key })).status,
    ).toBe(404);
    expect(
      (await t.call('GET', '/v1/windows/history?windowStart=2026-01-01T00:00:01Z', { key })).body.code,
    ).toBe('range_invalid');
  });

  it('wait for who folds meters, and for batches under way, and no batch waits for what they do first', async () => {
    const { key } = await t.tenant();
    const event = anEvent();
    await post(key, event);
    const holder = new pg.Client(t.database.url);
    await holder.connect();
    try {
      await holder.query('begin; lock table meter_fold in exclusive mode');
      const voiding = done(key, 'void', { ids: [event.eventId] });
      await until(async () => {
        const { rows } = await t.sql.query(
          `select 1 from pg_locks where relation = 'meter_fold'::regclass and not granted`,
        );
        return rows.length === 1;
      });
      expect(await post(key, anEvent())).toMatchObject({ accepted: 1 });
      await holder.query('commit');
      expect(await voiding).toMatchObject({ events: 1 });
    } finally {
      await holder.end();
    }
    expect(await callsOf(key)).toBe(1);
  });
});
