import { randomUUID } from 'node:crypto';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest';
import { describeEngine } from '../../support/database.ts';
import { startTestService, type TestService, until } from '../../support/service.ts';
import { anEvent } from '../../support/traffic.ts';

const BATCH = { 'content-type': 'application/cloudevents-batch+json' };
const NDJSON = { 'content-type': 'application/x-ndjson' };

describeEngine('events that are rejected', () => {
  const stream = `rejected:${inject('engine')}:${process.pid}:${randomUUID().slice(0, 8)}`;
  let t: TestService;
  let redis: Redis;
  let id: string;
  let key: string;
  let before: Record<string, number>;
  beforeAll(async () => {
    redis = new Redis(inject('redisUrl'));
    t = await startTestService({ SOURCE_REDIS_URL: inject('redisUrl'), SOURCE_STREAM: stream });
  });
  beforeEach(async () => {
    ({ id, key } = await t.tenant());
    before = await counted();
  });
  afterAll(async () => {
    await t?.stop();
    await redis.del(stream, `${stream}:dead`);
    redis.disconnect();
  });

  /** tidemark_events_rejected_total, by way and reason. */
  async function counted(): Promise<Record<string, number>> {
    const { body } = await t.call('GET', '/metrics');
    const samples = body.matchAll(/^tidemark_events_rejected_total\{way="(\w+)",reason="(\w+)"\} (\d+)$/gm);
    return Object.fromEntries([...samples].map(([, way, reason, n]) => [`${way} ${reason}`, Number(n)]));
  }
  /** What has been added to it since this test began. */
  async function added() {
    const added = Object.entries(await counted()).map(
      ([name, n]) => [name, n - (before[name] ?? 0)] as const,
    );
    return Object.fromEntries(added.filter(([, n]) => n !== 0));
  }
  const storedEvents = async () =>
    (await t.sql.query('select count(*)::int as n from event where tenant_id = $1', [id])).rows[0].n;
  const post = (body: unknown, query = '', headers = {}, path = '/v1/events') =>
    t.call('POST', path + query, { key, body, headers });
  const bad = () => ({ ...anEvent(), customerId: '' });
  const old = () => anEvent({ timestamp: '2001-01-01T00:00:00Z' });

  it('with onInvalid=skip are counted by reason beside those that are stored', async () => {
    const answer = await post([anEvent(), bad(), old(), anEvent(), bad()], '?onInvalid=skip');
    expect(answer).toMatchObject({ status: 200, body: { accepted: 2, rejected: 3 } });
    expect(await added()).toEqual({ 'http too_short': 2, 'http timestamp_too_old': 1 });
  });

  it('with all of their request are counted too, each once whatever is wrong with it', async () => {
    const answer = await post([anEvent(), { ...bad(), timestamp: 'now', unheardOf: 1 }]);
    expect(answer).toMatchObject({ status: 422, body: { code: 'invalid_events' } });
    expect(Object.values(await added())).toEqual([1]);
    expect(await storedEvents()).toBe(0);
  });

  it('for their tenant are counted', async () => {
    const events = [
      { ...anEvent(), tenantId: 'nobody' },
      { ...anEvent(), tenantId: id },
    ];
    const answer = await t.call('POST', '/v1/events?onInvalid=skip', { body: events });
    expect(answer).toMatchObject({ status: 200, body: { accepted: 1, rejected: 1 } });
    expect(await added()).toEqual({ 'http tenant_unknown': 1 });
  });

  it('and queued to be stored later are counted', async () => {
    const answer = await post([anEvent(), bad()], '?onInvalid=skip', { prefer: 'respond-async' });
    expect(answer).toMatchObject({ status: 202, body: { queued: 1 } });
    expect(await added()).toEqual({ 'http too_short': 1 });
  });

  it('in an entry of a queue are counted', async () => {
    await redis.xadd(stream, '*', 'tenant', id, 'data', JSON.stringify([anEvent(), bad(), old()]));
    await until(async () => Object.keys(await added()).length > 0);
    expect(await added()).toEqual({ 'queue too_short': 1, 'queue timestamp_too_old': 1 });
  });

  it('are not counted where nothing is wrong, nor where they are duplicates', async () => {
    const event = anEvent();
    for (const body of [[event], [event]]) expect((await post(body, '?onInvalid=skip')).status).toBe(200);
    expect(await added()).toEqual({});
  });

  describe('all of them, with onInvalid=skip: 422, with the verdict on each', () => {
    const aCloudEvent = () => ({ specversion: '1.0', id: randomUUID(), source: '/s', type: 'x' }); // no subject
    it.each([
      ['one event', () => [bad()], (inputs: unknown[]) => inputs[0], {}, '/v1/events'],
      ['an array', () => [bad(), old(), 5], (inputs: unknown[]) => inputs, {}, '/v1/events'],
      [
        'one a line',
        () => [bad(), old()],
        (inputs: unknown[]) => `${inputs.map((input) => JSON.stringify(input)).join('\n')}\n{`,
        NDJSON,
        '/v1/events',
      ],
      [
        'CloudEvents',
        () => [aCloudEvent(), aCloudEvent()],
        (inputs: unknown[]) => inputs,
        BATCH,
        '/v1/events',
      ],
      ['records', () => [{ recordId: 'r' }, {}], (inputs: unknown[]) => inputs, {}, '/v1/records'],
      ['increments', () => [{ key: 'k', value: -1 }], (inputs: unknown[]) => inputs, {}, '/increment'],
    ])('%s', async (_, inputs, bodyOf, headers, path) => {
      const all = inputs();
      const answer = await post(bodyOf(all), '?onInvalid=skip', headers, path);
      const n = all.length + (headers === NDJSON ? 1 : 0);
      expect(answer.status).toBe(422);
      expect(answer.headers.get('content-type')).toBe('application/problem+json');
      expect(answer.body).toMatchObject({
        status: 422,
        code: 'invalid_events',
        detail: `none of the ${n} events can be accepted; nothing was stored`,
        accepted: 0,
        duplicates: 0,
        rejected: n,
      });
      expect(answer.body.results).toHaveLength(n);
      for (const [index, verdict] of answer.body.results.entries()) {
        expect(verdict).toMatchObject({ index, status: 'invalid' });
        expect(new Set(verdict.errors.map((fault: { index: number }) => fault.index))).toEqual(
          new Set([index]),
        );
      }
      const later = await post(
        bodyOf(inputs()),
        '?onInvalid=skip',
        { ...headers, prefer: 'respond-async' },
        path,
      );
      expect(later.status).toBe(422);
      expect(Object.values(await added()).reduce((sum, more) => sum + more, 0)).toBe(2 * n);
    });

    it('of tenants that are not there', async () => {
      const events = [{ ...anEvent(), tenantId: 'nobody' }, anEvent()];
      const answer = await t.call('POST', '/v1/events?onInvalid=skip', { body: events });
      expect(answer).toMatchObject({ status: 422, body: { code: 'invalid_events', rejected: 2 } });
    });

    it('but not where one is a duplicate, nor where there is none', async () => {
      const event = anEvent();
      await post([event]);
      const answer = await post([event, bad()], '?onInvalid=skip');
      expect(answer).toMatchObject({ status: 200, body: { accepted: 0, duplicates: 1, rejected: 1 } });
      expect((await post([], '?onInvalid=skip')).body).toMatchObject({ status: 400, code: 'empty_batch' });
    });
  });
});
