import { randomUUID } from 'node:crypto';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { describeEngine } from '../../support/database.ts';
import { unsettled } from '../../support/queue.ts';
import { startServiceOn, startTestService, type TestService, until } from '../../support/service.ts';
import { anEvent } from '../../support/traffic.ts';

type Fields = Record<string, string | Buffer>;

describeEngine('events from a Redis stream', () => {
  const stream = `stream:${inject('engine')}:${process.pid}:${randomUUID().slice(0, 8)}`;
  const dead = `${stream}:dead`;
  const env = {
    SOURCE_REDIS_URL: inject('redisUrl'),
    SOURCE_STREAM: stream,
    SOURCE_CLAIM_AFTER_MS: '500',
  };
  let redis: Redis;
  let t: TestService;
  let mine: { id: string; key: string };

  beforeAll(async () => {
    redis = new Redis(inject('redisUrl'));
    t = await startTestService(env);
    mine = await t.tenant();
  });
  afterAll(async () => {
    await t.stop();
    await redis.del(stream, dead);
    redis.disconnect();
  });

  const add = (fields: Fields, to = stream) => redis.xadd(to, '*', ...Object.entries(fields).flat());
  /** One for the tenant of this test. */
  const send = (data: unknown, fields: Fields = {}) =>
    add({ tenant: mine.id, data: typeof data === 'string' ? data : JSON.stringify(data), ...fields });
  const settled = (name = stream) =>
    until(async () => {
      const { pending, lag } = await unsettled(redis, name);
      return pending === 0 && lag === 0;
    });
  const rowsOf = async (tenantId = mine.id) => {
    const { rows } = await t.sql.query(
      `select customer_id, event_type, event_id, external_id, value::text, tokens::int, source_id, reference, metadata,
         (extract(epoch from ts) * 1000)::bigint::text as ms
       from event where tenant_id = $1 order by received_at, customer_id`,
      [tenantId],
    );
    return rows;
  };
  /** Of the customer, which tests choose as they like. */
  const stored = async (customer: string, tenantId = mine.id) =>
    (await rowsOf(tenantId)).filter((row) => row.customer_id === customer);
  /** One of each entry: there may be two, where the answer to the first was lost. */
  async function deadLetters(name = dead): Promise<Record<string, string>[]> {
    const letters = await redis.xrange(name, '-', '+');
    const found = letters.map(([, list]) =>
      Object.fromEntries(Array.from({ length: list.length / 2 }, (_, i) => [list[2 * i], list[2 * i + 1]])),
    );
    return [...new Map(found.map((letter) => [letter['tidemark-id'], letter])).values()];
  }
  /** What became of one entry that is not to be stored. */
  async function reject(fields: Fields): Promise<Record<string, string>> {
    const id = await add(fields);
    await settled();
    const letter = (await deadLetters()).find((one) => one['tidemark-id'] === id);
    expect(letter, `of ${JSON.stringify(fields)}`).toBeDefined();
    return letter!;
  }

  describe('are read in every dialect', () => {
    it('native, one or many, as JSON or lines', async () => {
      await send(anEvent({ customerId: 'native' }));
      await send([anEvent({ customerId: 'native' }), anEvent({ customerId: 'native' })], { type: 'native' });
      await send(anEvent({ customerId: 'native' }), { type: 'application/json; charset=utf-8' });
      const lines = [anEvent({ customerId: 'native' }), anEvent({ customerId: 'native' })];
      await send(lines.map((line) => JSON.stringify(line)).join('\n'), { type: 'application/x-ndjson' });
      await settled();
      expect(await stored('native')).toHaveLength(6);
    });

    const cloudEvent = (subject: string) => ({
      specversion: '1.0',
      id: randomUUID(),
      source: '/gateway',
      type: 'api.request',
      subject,
      data: { apiEndpoint: '/api', tokens: 7, region: 'eu' },
    });

    it('CloudEvents, structured, batched and binary; without a time that of the entry', async () => {
      const first = await send(cloudEvent('ce'), { type: 'application/cloudevents+json' });
      await send([cloudEvent('ce'), cloudEvent('ce')], {
        type: 'application/cloudevents-batch+json; charset=utf-8',
      });
      await send(cloudEvent('ce'), { type: 'cloudevents' });
      const { data, ...attributes } = cloudEvent('ce');
      const fields = Object.fromEntries(
        Object.entries(attributes).map(([name, value]) => [`ce-${name}`, value]),
      );
      await send(data, fields);
      await send(data, { ...fields, type: 'application/json' }); // the same again
      await settled();
      const rows = await stored('ce');
      expect(rows).toHaveLength(5);
      for (const row of rows) {
        expect(row).toMatchObject({ tokens: 7, source_id: '/gateway', metadata: { region: 'eu' } });
      }
      expect(rows.map((row) => row.ms)).toContain(first!.split('-')[0]);
    });

    it('records', async () => {
      const record = {
        recordId: randomUUID(),
        time: new Date().toISOString(),
        destinationId: 'record',
        type: 'negative',
        value: '12345678901234567890.123456789012345678',
      };
      await send([record, record], { type: 'record' });
      await settled();
      expect(await stored('record')).toMatchObject([{ event_type: 'negative', value: record.value }]);
    });

    it('increments: each entry counts, unless it says that it is a repetition', async () => {
      for (let i = 0; i < 10; i++) await send({ key: 'hits', value: 2 }, { type: 'increment' });
      await send(
        [
          { key: 'hits', value: 1 },
          { key: 'hits', value: 1 },
        ],
        { type: 'increment' },
      );
      for (let i = 0; i < 3; i++) {
        await send({ key: 'hits', value: 100 }, { type: 'increment', idempotencyKey: 'order-17' });
      }
      await settled();
      const { body } = await t.call('GET', '/v1/counters/hits', { key: mine.key });
      expect(body).toMatchObject({ key: 'hits', value: '122' });
      // Over HTTP the key is the same.
      const again = await t.call('POST', '/v1/counters/increment', {
        key: mine.key,
        body: { key: 'hits', value: 100 },
        headers: { 'idempotency-key': '"order-17"' },
      });
      expect(again.body).toMatchObject({ accepted: 0, duplicates: 1 });
    });
  });

  it('are in every summary once their entry is acknowledged', async () => {
    const other = await t.tenant();
    await add({ tenant: other.id, data: JSON.stringify([anEvent({ metadata: { tokens: 5 } }), anEvent()]) });
    await settled();
    const usage = await t.call('GET', '/v1/usage?granularity=1h', { key: other.key });
    expect(usage.body.data).toMatchObject([{ calls: 2, tokens: 15 }]);
  });

  describe('belong to', () => {
    it('the tenant of the entry, else the one that each event names', async () => {
      const [a, b] = [await t.tenant(), await t.tenant()];
      await add({
        data: JSON.stringify([
          { ...anEvent(), tenantId: a.id },
          { ...anEvent(), tenantId: b.id },
        ]),
      });
      await add({ tenant: a.id, data: JSON.stringify({ ...anEvent(), tenantId: a.id }) });
      await settled();
      expect([(await rowsOf(a.id)).length, (await rowsOf(b.id)).length]).toEqual([2, 1]);
    });

    it('a tenant made a moment ago, though it was asked for before there was one', async () => {
      const id = `young-${process.pid}-${inject('engine')}`;
      expect(await reject({ tenant: id, data: JSON.stringify(anEvent()) })).toMatchObject({
        'tidemark-reason': 'tenant_unknown',
      });
      await t.sql.query(`insert into tenant (id, name) values ($1, $1)`, [id]);
      await add({ tenant: id, data: JSON.stringify(anEvent()) });
      await settled();
      expect(await rowsOf(id)).toHaveLength(1);
    });
  });

  describe('that cannot be stored become dead letters', () => {
    const good = () => JSON.stringify(anEvent({ customerId: 'poison' }));
    const days = (n: number) => new Date(Date.now() - n * 86_400_000).toISOString();
    const cases: Record<string, [() => Fields, string]> = {
      'no data': [() => ({ payload: '{}' }), 'invalid_request'],
      'not JSON': [() => ({ data: '{"eventId":' }), 'invalid_json'],
      'not UTF-8': [() => ({ data: Buffer.from([0x22, 0xff, 0xfe, 0x22]) }), 'invalid_encoding'],
      'a field that is not UTF-8': [() => ({ data: good(), type: Buffer.from([0xff]) }), 'invalid_encoding'],
      'no event': [() => ({ data: '[]' }), 'empty_batch'],
      'too many events': [() => ({ data: `[${'{},'.repeat(10_000)}{}]` }), 'too_many_events'],
      'an unknown type': [() => ({ data: good(), type: 'text/csv' }), 'unsupported_media_type'],
      'another type than it is': [() => ({ data: good(), type: 'record' }), 'required'],
      'an unknown field': [
        () => ({ data: JSON.stringify({ ...anEvent(), colour: 'red' }) }),
        'unknown_field',
      ],
      'too old': [() => ({ data: JSON.stringify(anEvent({ timestamp: days(31) })) }), 'timestamp_too_old'],
      'too far ahead': [
        () => ({ data: JSON.stringify(anEvent({ timestamp: days(-1) })) }),
        'timestamp_too_new',
      ],
      'text that cannot be stored': [
        () => ({ data: JSON.stringify(anEvent({ customerId: 'a\0b' })) }),
        'text_invalid',
      ],
      'an unknown tenant': [() => ({ tenant: 'nobody', data: good() }), 'tenant_unknown'],
      'a tenant that cannot be': [() => ({ tenant: 'no\0body', data: good() }), 'tenant_unknown'],
      'another tenant': [
        () => ({ data: JSON.stringify({ ...anEvent(), tenantId: 'x' }) }),
        'tenant_mismatch',
      ],
      'an increment of nothing': [
        () => ({ data: JSON.stringify({ key: 'k', value: 0 }), type: 'increment' }),
        'value_not_positive',
      ],
      'a key for several': [
        () => ({
          data: JSON.stringify([
            { key: 'k', value: 1 },
            { key: 'k', value: 1 },
          ]),
          type: 'increment',
          idempotencyKey: 'several',
        }),
        'invalid_request',
      ],
    };

    it.each(Object.entries(cases))('%s', async (_, [make, reason]) => {
      const fields: Fields = { tenant: mine.id, ...make() };
      const letter = await reject(fields);
      expect(letter['tidemark-reason']).toBe(reason);
      expect(letter['tidemark-message']).not.toBe('');
    });

    it('a field twice', async () => {
      const id = await redis.xadd(stream, '*', 'data', good(), 'tenant', mine.id, 'data', good());
      await settled();
      expect((await deadLetters()).find((letter) => letter['tidemark-id'] === id)).toMatchObject({
        'tidemark-reason': 'invalid_request',
      });
    });

    it('a tenant that is inactive, or left out', async () => {
      const gone = await t.tenant();
      await t.call('PATCH', `/v1/tenants/${gone.id}`, { body: { active: false } });
      const inactive = await reject({ tenant: gone.id, data: good() });
      expect(inactive).toMatchObject({ 'tidemark-reason': 'tenant_inactive' });
      expect(await reject({ data: good() })).toMatchObject({ 'tidemark-reason': 'tenant_required' });
    });

    it('a key that was used for another increment', async () => {
      await send({ key: 'reuse', value: 1 }, { type: 'increment', idempotencyKey: 'reused' });
      await settled();
      const letter = await reject({
        tenant: mine.id,
        data: JSON.stringify({ key: 'reuse', value: 2 }),
        type: 'increment',
        idempotencyKey: 'reused',
      });
      expect(letter).toMatchObject({ 'tidemark-reason': 'idempotency_key_reused' });
    });

    it('all of an entry with one bad event, with every fault, and nothing of it is stored', async () => {
      const events = [
        anEvent({ customerId: 'half' }),
        { ...anEvent({ customerId: 'half' }), timestamp: 'then' },
      ];
      const data = JSON.stringify(events);
      const letter = await reject({ tenant: mine.id, data, trace: 'abc' });
      expect(letter).toMatchObject({
        data,
        tenant: mine.id,
        trace: 'abc',
        'tidemark-reason': 'timestamp_invalid',
        'tidemark-stream': stream,
        'tidemark-consumer': expect.stringMatching(/:\d+:[0-9a-f]{8}$/),
      });
      expect(JSON.parse(letter['tidemark-faults']!)).toMatchObject([{ index: 1, pointer: '/timestamp' }]);
      expect(Math.abs(Date.parse(letter['tidemark-time']!) - Date.now())).toBeLessThan(10_000);
      expect(await stored('half')).toEqual([]);
    });

    it('the entry that the database refuses, and none of those beside it', async () => {
      await t.sql.query(
        `alter table event add constraint no_poison check (endpoint is distinct from '/poison')`,
      );
      try {
        const before = (await deadLetters()).length;
        const pipeline = redis.pipeline();
        for (let i = 0; i < 100; i++) {
          const endpoint = i === 50 ? '/poison' : '/fine';
          const event = anEvent({ customerId: 'beside', apiEndpoint: endpoint });
          pipeline.xadd(stream, '*', 'tenant', mine.id, 'data', JSON.stringify([event]));
        }
        await pipeline.exec();
        await settled();
        expect(await stored('beside')).toHaveLength(99);
        const letters = (await deadLetters()).slice(before);
        expect(letters).toMatchObject([{ 'tidemark-reason': 'event_rejected_by_database' }]);
      } finally {
        await t.sql.query('alter table event drop constraint no_poison');
      }
    });

    it('and are the same entry when they are put back, as they are or mended', async () => {
      const name = `late-${process.pid}-${inject('engine')}`;
      const data = JSON.stringify({ key: 'replayed', value: 3 });
      const letter = await reject({ tenant: name, type: 'increment', data });
      await t.sql.query(`insert into tenant (id, name) values ($1, $1)`, [name]);
      for (let i = 0; i < 3; i++) await add(letter);
      await settled();
      const rows = await stored('replayed', name);
      expect(rows).toHaveLength(1);
      expect(rows[0].ms).toBe(letter['tidemark-id']!.split('-')[0]);
    });
  });

  it('are shared by two instances', async () => {
    const second = await startServiceOn(t.database, env);
    try {
      const events = Array.from({ length: 2_000 }, () => anEvent({ customerId: 'shared' }));
      const pipeline = redis.pipeline();
      for (const event of events) {
        pipeline.xadd(stream, '*', 'tenant', mine.id, 'data', JSON.stringify(event));
      }
      await pipeline.exec();
      await settled();
      expect(new Set((await stored('shared')).map((row) => row.event_id))).toEqual(
        new Set(events.map((event) => event.eventId)),
      );
      const consumers = (await redis.xinfo('CONSUMERS', stream, 'tidemark')) as unknown[];
      expect(consumers).toHaveLength(2);
    } finally {
      await second.service.close();
      await second.sql.end();
    }
    // What leaves in order leaves nothing behind.
    expect(await redis.xinfo('CONSUMERS', stream, 'tidemark')).toHaveLength(1);
  });

  it('of a consumer that died are taken over', async () => {
    const name = `${stream}:orphans`;
    await redis.xgroup('CREATE', name, 'tidemark', '0', 'MKSTREAM');
    for (let i = 0; i < 5; i++) {
      await add({ tenant: mine.id, data: JSON.stringify(anEvent({ customerId: 'orphan' })) }, name);
    }
    const gone = (await redis.xadd(name, '*', 'data', 'deleted while it was pending'))!;
    await redis.xreadgroup('GROUP', 'tidemark', 'dead:1:00000000', 'STREAMS', name, '>');
    await redis.xdel(name, gone);
    expect(await unsettled(redis, name)).toMatchObject({ pending: 6 });
    const heir = await startServiceOn(t.database, { ...env, SOURCE_STREAM: name });
    try {
      await settled(name);
      expect(await stored('orphan')).toHaveLength(5);
      const { body } = await heir.call('GET', '/metrics', { key: null });
      expect(body).toContain(`tidemark_source_reclaimed_total{source="${name}"} 5`);
      expect(body).toContain(`tidemark_source_entries_total{source="${name}",outcome="stored"} 5`);
      expect(body).toContain(`tidemark_source_pending{source="${name}"} 0`);
      expect(body).toContain(`tidemark_source_up{source="${name}"} 1`);
    } finally {
      await heir.service.close();
      await heir.sql.end();
      await redis.del(name);
    }
  });

  it('come from several streams, have a default tenant, and one place for dead letters, where that is configured', async () => {
    const names = [`${stream}:a`, `${stream}:b`];
    const place = `${stream}:graves`;
    const other = await startServiceOn(t.database, {
      ...env,
      SOURCE_STREAM: names.join(', '),
      SOURCE_DEAD_LETTER_STREAM: place,
      SOURCE_GROUP: 'billing',
      SOURCE_TENANT: mine.id,
    });
    try {
      for (const name of names) {
        await add({ data: JSON.stringify(anEvent({ customerId: 'several' })) }, name);
        await add({ data: 'x' }, name);
      }
      await until(
        async () => (await stored('several')).length === 2 && (await deadLetters(place)).length === 2,
      );
      for (const name of names) expect(String(await redis.xinfo('GROUPS', name))).toMatch(/^name,billing,/);
    } finally {
      await other.service.close();
      await other.sql.end();
      await redis.del(...names, place);
    }
  });

  it('leave the stream as it was: nothing is trimmed or deleted, and no key is added', async () => {
    const keys = (await redis.keys(`${stream}*`)).sort();
    expect(keys).toEqual([stream, dead].sort());
    const length = await redis.xlen(stream);
    await send(anEvent());
    await settled();
    expect(await redis.xlen(stream)).toBe(length + 1);
  });

  it('are not asked for unless a stream is configured', async () => {
    const other = await startServiceOn(t.database);
    try {
      const { body } = await other.call('GET', '/metrics', { key: null });
      expect(body).not.toContain('tidemark_source');
    } finally {
      await other.service.close();
      await other.sql.end();
    }
  });
});
