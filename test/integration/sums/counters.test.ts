import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { describeEngine } from '../../support/database.ts';
import { startTestService, type TestService } from '../../support/service.ts';
import { anEvent } from '../../support/traffic.ts';
import { describeHotCounter } from './describeHotCounter.ts';

describeHotCounter(1_000);

describeEngine('counters', () => {
  let t: TestService;
  beforeAll(async () => {
    t = await startTestService();
  });
  afterAll(() => t.stop());

  const increment = (key: string, body: unknown, headers: Record<string, string> = {}, query = '') =>
    t.call('POST', `/v1/counters/increment${query}`, { key, body, headers });
  const read = (key: string, name: string) =>
    t.call('GET', `/v1/counters/${encodeURIComponent(name)}`, { key });

  it('come into being with their first increment and are read at once', async () => {
    const { key } = await t.tenant();
    expect((await read(key, 'signups')).body).toMatchObject({ status: 404, code: 'not_found' });
    const before = Date.now();
    expect((await increment(key, { key: 'signups', value: 2 })).body).toEqual({ accepted: 1, duplicates: 0 });
    const { status, body } = await read(key, 'signups');
    expect([status, body]).toEqual([200, { key: 'signups', value: '2', updatedAt: expect.any(String) }]);
    expect(Math.abs(Date.parse(body.updatedAt) - before)).toBeLessThan(60_000);
    expect((await t.call('POST', '/increment', { key, body: { key: 'signups', value: '0.5' } })).status).toBe(
      200,
    );
    const later = (await read(key, 'signups')).body;
    expect(later.value).toBe('2.5');
    expect(later.updatedAt >= body.updatedAt).toBe(true);
  });

  it('are exact to the last digit', async () => {
    const { key } = await t.tenant();
    const body = ['99999999999999999999.999999999999999999', '0.000000000000000001', '1e3', 0.1, 0.2].map(
      (value) => ({ key: 'exact', value }),
    );
    expect((await increment(key, body)).body).toEqual({ accepted: 5, duplicates: 0 });
    expect((await read(key, 'exact')).body.value).toBe('100000000000000001000.3');
    await increment(key, { key: 'exact', value: '0.000000000000000007' });
    expect((await read(key, 'exact')).body.value).toBe('100000000000000001000.300000000000000007');
  });

  it('are an event each', async () => {
    const { key } = await t.tenant();
    await increment(key, { key: 'jobs', value: '1.5' });
    const { body } = await t.call('GET', '/v1/events', { key });
    expect(body.data).toEqual([
      expect.objectContaining({
        eventType: 'counter.increment',
        customerId: 'jobs',
        value: '1.5',
        metadata: {},
      }),
    ]);
    expect(body.data[0].eventId).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7/);
    expect(Math.abs(Date.parse(body.data[0].timestamp) - Date.now())).toBeLessThan(60_000);
  });

  it.each([
    [{ key: 'k' }, '/value', 'required'],
    [{ value: 1 }, '/key', 'required'],
    [{ key: '', value: 1 }, '/key', 'too_short'],
    [{ key: 'k'.repeat(257), value: 1 }, '/key', 'too_long'],
    [{ key: 5, value: 1 }, '/key', 'type_invalid'],
    [{ key: 'a\u0000', value: 1 }, '/key', 'text_invalid'],
    [{ key: 'k', value: 0 }, '/value', 'value_not_positive'],
    [{ key: 'k', value: -1 }, '/value', 'value_not_positive'],
    [{ key: 'k', value: '-0.0' }, '/value', 'value_not_positive'],
    [{ key: 'k', value: 1e-19 }, '/value', 'value_not_positive'],
    [{ key: 'k', value: null }, '/value', 'type_invalid'],
    [{ key: 'k', value: true }, '/value', 'type_invalid'],
    [{ key: 'k', value: [1] }, '/value', 'type_invalid'],
    [{ key: 'k', value: '' }, '/value', 'value_invalid'],
    [{ key: 'k', value: 'one' }, '/value', 'value_invalid'],
    [{ key: 'k', value: '0x10' }, '/value', 'value_invalid'],
    [{ key: 'k', value: 'NaN' }, '/value', 'value_invalid'],
    [{ key: 'k', value: '100000000000000000000' }, '/value', 'value_invalid'],
    [{ key: 'k', value: '0.0000000000000000001' }, '/value', 'value_invalid'],
    [{ key: 'k', value: 1, by: 2 }, '/by', 'unknown_field'],
    ['k', '', 'type_invalid'],
    [null, '', 'type_invalid'],
  ])('refuse %j', async (body, pointer, code) => {
    const { id, key } = await t.tenant();
    for (const sent of [body, [{ key: 'k', value: 1 }, body]]) {
      const answer = await t.call('POST', '/increment', { key, body: JSON.stringify(sent) });
      expect(answer.body).toMatchObject({ status: 422, code: 'invalid_events', errors: [{ pointer, code }] });
    }
    const { rows } = await t.sql.query(
      'select (select count(*) from event where tenant_id = $1) + (select count(*) from counter where tenant_id = $1) as n',
      [id],
    );
    expect(rows).toEqual([{ n: '0' }]);
  });

  it('store the valid ones with onInvalid=skip, take NDJSON, and answer 202 with respond-async', async () => {
    const { key } = await t.tenant();
    const skipped = await increment(key, [{ key: 'k', value: 1 }, { key: 'k' }], {}, '?onInvalid=skip');
    expect(skipped.body).toMatchObject({ accepted: 1, rejected: 1 });
    const lines = '{"key":"k","value":1}\n{"key":"k","value":"2"}\n';
    await increment(key, lines, { 'content-type': 'application/x-ndjson' });
    const later = await increment(key, { key: 'k', value: 1 }, { prefer: 'respond-async' });
    expect([later.status, later.body]).toEqual([202, { queued: 1 }]);
    await expect.poll(async () => (await read(key, 'k')).body.value).toBe('5');
    const text = await increment(key, 'x', { 'content-type': 'text/plain' });
    expect(text.body).toMatchObject({ status: 415, code: 'unsupported_media_type' });
  });

  describe('an Idempotency-Key', () => {
    it('counts once, in quotes and bare, also when repeated at the same time', async () => {
      const { key } = await t.tenant();
      const body = { key: 'k', value: '1.50' };
      const send = (given: string) => increment(key, body, { 'idempotency-key': given });
      expect((await send('"a"')).body).toEqual({ accepted: 1, duplicates: 0 });
      expect((await send('"a"')).body).toEqual({ accepted: 0, duplicates: 1 });
      expect((await send('a')).body).toEqual({ accepted: 0, duplicates: 1 });
      expect((await send('"a";x=1')).body).toEqual({ accepted: 0, duplicates: 1 });
      const answers = await Promise.all(Array.from({ length: 20 }, () => send('"b \\"c\\" \\\\"')));
      expect(answers.map((answer) => answer.body.accepted).reduce((a, b) => a + b)).toBe(1);
      expect((await read(key, 'k')).body.value).toBe('3');
      const { body: events } = await t.call('GET', '/v1/events', { key });
      expect(events.data.map((event: { eventId: string }) => event.eventId).sort()).toEqual([
        'a',
        'b "c" \\',
      ]);
    });

    it('is of its tenant, and no eventId', async () => {
      const [one, two] = [await t.tenant(), await t.tenant()];
      for (const { key } of [one, two]) {
        const answer = await increment(key, { key: 'k', value: 1 }, { 'idempotency-key': '"same"' });
        expect(answer.body).toEqual({ accepted: 1, duplicates: 0 });
        const event = { ...anEvent(), eventId: 'same' };
        expect((await t.call('POST', '/v1/events', { key, body: event })).body.accepted).toBe(1);
      }
    });

    it('refuses another increment, also one at the same time, and adds nothing', async () => {
      const { key } = await t.tenant();
      const send = (body: unknown, query = '') => increment(key, body, { 'idempotency-key': '"x"' }, query);
      expect((await send({ key: 'k', value: 1 })).status).toBe(200);
      for (const other of [
        { key: 'k', value: 2 },
        { key: 'l', value: 1 },
      ]) {
        expect((await send(other)).body).toMatchObject({ status: 422, code: 'idempotency_key_reused' });
        expect((await send(other, '?onInvalid=skip')).status).toBe(422);
      }
      expect((await send({ key: 'k', value: '1.0' })).body).toEqual({ accepted: 0, duplicates: 1 });
      expect((await read(key, 'k')).body.value).toBe('1');
      expect((await read(key, 'l')).status).toBe(404);

      const values = Array.from({ length: 20 }, (_, i) => i + 1);
      const answers = await Promise.all(
        values.map((value) => increment(key, { key: 'm', value }, { 'idempotency-key': '"y"' })),
      );
      const winner = answers.findIndex(({ status }) => status === 200);
      expect(answers.map(({ status }) => status).sort()).toEqual([200, ...values.slice(1).map(() => 422)]);
      expect((await read(key, 'm')).body.value).toBe(String(values[winner]));
    });

    it.each(['', '""', '"a', 'a, b', '"a", "b"', 'a b', '"é"', `"${'x'.repeat(257)}"`])(
      'is refused when it is %s',
      async (given) => {
        const { key } = await t.tenant();
        const answer = await increment(key, { key: 'k', value: 1 }, { 'idempotency-key': given });
        expect(answer.body).toMatchObject({ status: 400, code: 'invalid_request' });
      },
    );

    it('goes with one increment', async () => {
      const { key } = await t.tenant();
      const two = [
        { key: 'k', value: 1 },
        { key: 'k', value: 1 },
      ];
      const answer = await increment(key, two, { 'idempotency-key': '"z"' });
      expect(answer.body).toMatchObject({ status: 400, code: 'invalid_request' });
      expect((await read(key, 'k')).status).toBe(404);
    });
  });

  it('are fed by every dialect, an event counted once', async () => {
    const { key } = await t.tenant();
    const event = { ...anEvent({ customerId: 'k', value: '5' }), eventType: 'counter.increment' };
    const post = (body: unknown) => t.call('POST', '/v1/events', { key, body });
    await post([event, event]);
    await post([event, { ...event, eventId: 'another' }]);
    expect((await read(key, 'k')).body.value).toBe('10');
    for (const value of ['0', '-1', undefined]) {
      const answer = await post({ ...event, eventId: 'bad', value });
      expect(answer.body.errors).toMatchObject([{ pointer: '/value', code: 'value_not_positive' }]);
    }
  });

  it('are listed by key, in pages and by prefix', async () => {
    const { key } = await t.tenant();
    const names = ['a', 'a%', 'a/b c', 'a_', 'ab', 'b', 'B', 'é', '💩'];
    await increment(
      key,
      names.map((name) => ({ key: name, value: 1 })),
    );
    const sorted = names.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    const walk = async (query: string) => {
      const found: string[] = [];
      let cursor: string | null = null;
      do {
        const at: string = cursor === null ? '' : `&cursor=${cursor}`;
        const { body } = await t.call('GET', `/v1/counters?limit=2${query}${at}`, { key });
        found.push(...body.data.map((counter: { key: string }) => counter.key));
        cursor = body.nextCursor;
      } while (cursor !== null);
      return found;
    };
    expect(await walk('')).toEqual(sorted);
    expect(await walk('&prefix=a')).toEqual(sorted.filter((name) => name.startsWith('a')));
    expect(await walk('&prefix=a%25')).toEqual(['a%']);
    expect(await walk('&prefix=x')).toEqual([]);
    for (const name of names) expect((await read(key, name)).body.key).toBe(name);
    const answer = await t.call('GET', '/v1/counters?cursor=x', { key });
    expect(answer.body).toMatchObject({ status: 400, code: 'cursor_invalid' });
  });

  it('are their tenant’s alone, and need a key with the scope', async () => {
    const [own, other] = [await t.tenant(), await t.tenant()];
    await increment(other.key, { key: 'k', value: 1 });
    await increment(own.key, { key: 'k', value: 2 });
    expect((await read(own.key, 'k')).body.value).toBe('2');
    expect((await t.call('GET', '/v1/counters', { key: own.key })).body.data).toHaveLength(1);
    for (const path of ['/increment', '/v1/counters/increment']) {
      const body = { key: 'k', value: 1 };
      expect((await t.call('POST', path, { key: null, body })).body.code).toBe('unauthenticated');
      expect((await t.call('POST', path, { body })).body.code).toBe('tenant_required');
      expect((await t.call('POST', path, { body, headers: { 'x-tenant-id': own.id } })).status).toBe(200);
      expect((await t.call('GET', '/increment', { key: own.key })).body.code).toBe('method_not_allowed');
    }
  });
});
