import { createHmac, randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import type { Config } from '../../../src/ground/config/loadConfig.ts';
import { describeEngine } from '../../support/database.ts';
import {
  allSettled,
  deliveriesTo,
  FAST_DELIVERY,
  newSecret,
  subscribe,
  writeMessages,
} from '../../support/messages.ts';
import { type Received, Receiver } from '../../support/receiver.ts';
import { startServiceOn, startTestService, type TestService, until } from '../../support/service.ts';

const SCHEDULE_MS = [0, 100, 200, 400];

/** As the standard's text has it, without a line of ours: the signed content is id, timestamp and body, with dots. */
function verified({ headers, body }: Received, secret: string): boolean {
  const [id, timestamp] = [headers['webhook-id'], headers['webhook-timestamp']];
  const key = Buffer.from(secret.slice('whsec_'.length), 'base64');
  const expected = createHmac('sha256', key).update(`${id}.${timestamp}.${body}`, 'utf8').digest('base64');
  return String(headers['webhook-signature'])
    .split(' ')
    .some((signature) => signature === `v1,${expected}`);
}

const configure = (config: Config) => {
  config.delivery.scheduleMs = SCHEDULE_MS;
  config.delivery.streamRetryMs = 100;
  config.delivery.leaseMs = 40_000;
  config.delivery.breaker = { failures: 1_000, probeMinMs: 100, probeMaxMs: 100 };
};

describeEngine('messages', () => {
  let t: TestService;
  let receiver: Receiver;
  let tenant: { id: string; key: string };
  beforeAll(async () => {
    t = await startTestService(FAST_DELIVERY, { configure });
  });
  beforeEach(async () => {
    receiver = await Receiver.start();
    tenant = await t.tenant();
  });
  afterEach(async () => {
    await t.sql.query('update subscription set active = false');
    await receiver.stop();
  });
  afterAll(() => t.stop());

  const deliveries = (subscription: string) => deliveriesTo(t.sql, subscription);
  const settled = (subscription: string, n = 1, withinMs = 10_000) =>
    allSettled(t.sql, subscription, n, withinMs);
  const attemptsOf = async (deliveryId: string) =>
    (await t.sql.query('select * from delivery_attempt where delivery_id = $1 order by id', [deliveryId]))
      .rows;

  it('are sent as Standard Webhooks says, each number as it was stored', async () => {
    const secret = newSecret();
    await subscribe(t.sql, tenant.id, { url: receiver.url('/hook?x=1'), secret });
    const [id] = await writeMessages(t.sql, tenant.id, [{ customerId: 'c', payload: { text: 'ä €' } }]);
    await t.sql.query(
      `insert into outbox (type, tenant_id, customer_id, payload)
       values ('usage.threshold', $1, 'c', '{"value": 12345678901234567890.123456789012345678}')`,
      [tenant.id],
    );
    await until(() => receiver.received.length === 2);
    const [first, second] = receiver.received as [Received, Received];
    expect(first).toMatchObject({
      path: '/hook?x=1',
      headers: {
        'content-type': 'application/json',
        'user-agent': 'Tidemark',
        'webhook-id': id,
        'webhook-timestamp': expect.stringMatching(/^\d{10}$/),
        'webhook-signature': expect.stringMatching(/^v1,[A-Za-z0-9+/]{43}=$/),
      },
      json: {
        type: 'usage.threshold',
        timestamp: expect.stringMatching(/^\d{4}-.*T.*\.\d{3}Z$/),
        data: { text: 'ä €' },
      },
    });
    expect(Object.keys(first.json)).toEqual(['type', 'timestamp', 'data']);
    expect(Math.abs(Number(first.headers['webhook-timestamp']) - Date.now() / 1_000)).toBeLessThan(5);
    expect(second.body).toContain('12345678901234567890.123456789012345678');
    for (const request of [first, second]) expect(verified(request, secret)).toBe(true);
    expect(verified(first, newSecret())).toBe(false);
    expect(verified({ ...first, body: `${first.body} ` }, secret)).toBe(false);
  });

  it('are signed with both secrets while one takes the place of the other', async () => {
    const [secret, previous, expired] = [newSecret(), newSecret(), newSecret()];
    const id = await subscribe(t.sql, tenant.id, { url: receiver.url(), secret });
    const rotate = (old: string, until: string) =>
      t.sql.query(
        `update subscription set previous_secret = $2, previous_secret_until = now() + $3::interval where id = $1`,
        [id, old, until],
      );
    await rotate(previous, '1 hour');
    await writeMessages(t.sql, tenant.id, [{}]);
    await until(() => receiver.received.length === 1);
    expect(String(receiver.received[0]!.headers['webhook-signature']).split(' ')).toHaveLength(2);
    for (const one of [secret, previous]) expect(verified(receiver.received[0]!, one)).toBe(true);
    await rotate(expired, '-1 second');
    await writeMessages(t.sql, tenant.id, [{}]);
    await until(() => receiver.received.length === 2);
    expect([verified(receiver.received[1]!, secret), verified(receiver.received[1]!, expired)]).toEqual([
      true,
      false,
    ]);
  });

  it('go to those who asked for their type and customer, and to nobody else', async () => {
    const other = await t.tenant();
    const paths = {
      all: {},
      types: { types: ['window.closed', 'alert.triggered'] },
      customers: { customers: ['a'] },
    };
    for (const [path, wishes] of Object.entries(paths)) {
      await subscribe(t.sql, tenant.id, { url: receiver.url(`/${path}`), ...wishes });
    }
    const inactive = await subscribe(t.sql, tenant.id, { url: receiver.url('/inactive') });
    await t.sql.query('update subscription set active = false where id = $1', [inactive]);
    await subscribe(t.sql, other.id, { url: receiver.url('/other') });
    const [a, b, c, none] = await writeMessages(t.sql, tenant.id, [
      { customerId: 'a' },
      { customerId: 'b' },
      { customerId: 'a', type: 'window.closed' },
      { customerId: null },
    ]);
    await until(() => receiver.received.length >= 5);
    await sleep(300);
    const ids = (path: string) =>
      receiver
        .at(path)
        .map(({ headers }) => headers['webhook-id'])
        .sort();
    expect(ids('/all')).toEqual([a, b, none].sort());
    expect(ids('/types')).toEqual([c]);
    expect(ids('/customers')).toEqual([a]);
    expect(receiver.received).toHaveLength(5);
  });

  it('wait for every transaction that began before theirs, and come in order of their ids', async () => {
    await subscribe(t.sql, tenant.id, { url: receiver.url() });
    const slow = await t.sql.connect();
    try {
      await slow.query('begin');
      await slow.query(
        `insert into outbox (type, tenant_id, customer_id, payload) values ('usage.threshold', $1, 'c', '{"n": 1}')`,
        [tenant.id],
      );
      await writeMessages(t.sql, tenant.id, [{ customerId: 'c', payload: { n: 2 } }]);
      await sleep(500);
      expect(receiver.received).toEqual([]);
      await slow.query('commit');
    } finally {
      slow.release();
    }
    await until(() => receiver.received.length === 2);
    expect(receiver.received.map(({ json }) => json.data.n)).toEqual([1, 2]);
  });

  it('are tried again on schedule with the same id, and are dead when that ends', async () => {
    const id = await subscribe(t.sql, tenant.id, { url: receiver.url() });
    receiver.answer = (_, response) => {
      response.writeHead(500).end(`no \u0000 luck ${'x'.repeat(10_000)}`);
      return undefined;
    };
    const [messageId] = await writeMessages(t.sql, tenant.id, [{ customerId: 'c' }]);
    await settled(id);
    expect(receiver.received.map(({ headers }) => headers['webhook-id'])).toEqual(Array(4).fill(messageId));
    const times = receiver.received.map(({ at }) => at);
    for (const [i, delayMs] of SCHEDULE_MS.slice(1).entries()) {
      expect(times[i + 1]! - times[i]!).toBeGreaterThanOrEqual(delayMs * 0.9 - 1);
      expect(times[i + 1]! - times[i]!).toBeLessThan(delayMs * 1.1 + 1_000);
    }
    const [delivery] = await deliveries(id);
    expect(delivery).toMatchObject({
      state: 'dead',
      attempts: 4,
      last_status: 500,
      last_error: 'answered 500',
    });
    const attempts = await attemptsOf(delivery.id);
    expect(attempts).toHaveLength(4);
    expect(attempts[0]).toMatchObject({
      status: 500,
      error: 'answered 500',
      duration_ms: expect.any(Number),
    });
    expect(attempts[0].response).toMatch(/^no \ufffd luck x+$/);
    expect(attempts[0].response.length).toBeLessThanOrEqual(1_024);
    expect((await t.sql.query('select from delivery_lane where subscription_id = $1', [id])).rowCount).toBe(
      0,
    );
  });

  it('come later where the receiver asks for it', async () => {
    const id = await subscribe(t.sql, tenant.id, { url: receiver.url() });
    receiver.answer = (_, response) => {
      response.writeHead(receiver.received.length === 1 ? 429 : 200, { 'retry-after': '1' }).end();
      return undefined;
    };
    await writeMessages(t.sql, tenant.id, [{}]);
    await settled(id);
    expect(receiver.received[1]!.at - receiver.received[0]!.at).toBeGreaterThanOrEqual(990);
    expect(receiver.received).toHaveLength(2);
  });

  it('do not follow redirects', async () => {
    const id = await subscribe(t.sql, tenant.id, { url: receiver.url('/from') });
    receiver.answer = (_, response) => {
      response.writeHead(307, { location: receiver.url('/to') }).end();
      return undefined;
    };
    await writeMessages(t.sql, tenant.id, [{}]);
    await settled(id);
    expect(receiver.at('/to')).toEqual([]);
    expect((await deliveries(id))[0]).toMatchObject({ state: 'dead', last_status: 307 });
  });

  it('stop when the receiver is gone (410): the subscription is disabled, and the audit log says so', async () => {
    const id = await subscribe(t.sql, tenant.id, { url: receiver.url() });
    receiver.answer = () => 410;
    await writeMessages(t.sql, tenant.id, [{ customerId: 'c' }, { customerId: 'c' }]);
    await until(() => receiver.received.length === 1);
    await sleep(500);
    expect(receiver.received).toHaveLength(1);
    const { rows } = await t.sql.query('select * from subscription where id = $1', [id]);
    expect(rows[0]).toMatchObject({
      active: false,
      disabled_reason: '410 Gone',
      disabled_at: expect.any(Date),
    });
    expect(await deliveries(id)).toMatchObject([
      { state: 'pending', attempts: 1, last_status: 410 },
      { state: 'pending', attempts: 0 },
    ]);
    const { body } = await t.call('GET', `/v1/audit-log?tenantId=${tenant.id}`);
    expect(body.data[0]).toMatchObject({
      action: 'subscription.disabled',
      target: id,
      actor: { kind: 'command' },
    });
  });

  it('keep the order of a customer through failures, while other customers go on', async () => {
    const id = await subscribe(t.sql, tenant.id, { url: receiver.url() });
    let failures = 2;
    receiver.answer = ({ json }) => (json.data.c === 'a' && json.data.n === 2 && failures-- > 0 ? 503 : 200);
    const messages = [1, 2, 3, 4].flatMap((n) =>
      ['a', 'b'].map((c) => ({ customerId: c, payload: { c, n } })),
    );
    await writeMessages(t.sql, tenant.id, messages);
    await settled(id, 8);
    const of = (c: string) => receiver.received.filter(({ json }) => json.data.c === c);
    expect(of('a').map(({ json }) => json.data.n)).toEqual([1, 2, 2, 2, 3, 4]);
    expect(of('b').map(({ json }) => json.data.n)).toEqual([1, 2, 3, 4]);
    const retried = of('a')[3]!.at;
    expect(of('b')[3]!.at).toBeLessThan(retried);
  });

  it('of a customer go on once the one ahead is dead', async () => {
    const id = await subscribe(t.sql, tenant.id, { url: receiver.url() });
    receiver.answer = ({ json }) => (json.data.n === 1 ? 400 : 200);
    await writeMessages(t.sql, tenant.id, [
      { customerId: 'a', payload: { n: 1 } },
      { customerId: 'a', payload: { n: 2 } },
    ]);
    await settled(id, 2);
    expect((await deliveries(id)).map(({ state }) => state)).toEqual(['dead', 'delivered']);
    expect(receiver.received.map(({ json }) => json.data.n)).toEqual([1, 1, 1, 1, 2]);
  });

  it('to others are not held up by a slow receiver, nor is it given more than its share', async () => {
    let [now, most] = [0, 0];
    const slow = await subscribe(t.sql, tenant.id, { url: receiver.url('/slow') });
    const fast = await subscribe(t.sql, tenant.id, { url: receiver.url('/fast') });
    receiver.answer = async ({ path }) => {
      if (path === '/fast') return 200;
      most = Math.max(most, ++now);
      await sleep(500);
      now--;
      return 200;
    };
    await writeMessages(
      t.sql,
      tenant.id,
      Array.from({ length: 40 }, () => ({ customerId: randomUUID() })),
    );
    await settled(fast, 40, 20_000);
    expect((await deliveries(slow)).filter(({ state }) => state === 'pending').length).toBeGreaterThan(8);
    await settled(slow, 40, 20_000);
    expect(most).toBeLessThanOrEqual(t.config.delivery.inFlightPerEndpoint);
  });

  it('that are left by a holder that died are sent when its lease lapses', async () => {
    const id = await subscribe(t.sql, tenant.id, { url: receiver.url() });
    // Another instance has claimed the lane, and is never heard of again.
    await t.sql.query(
      `insert into delivery_lane (subscription_id, customer_id, lease, due_at)
       values ($1, 'c', gen_random_uuid(), now() + interval '1 second')`,
      [id],
    );
    await writeMessages(t.sql, tenant.id, [{ customerId: 'c' }]);
    await sleep(500);
    expect(receiver.received).toHaveLength(0);
    await settled(id);
    expect(receiver.received).toHaveLength(1);
  });

  it('are in order also when several instances send them, each once', async () => {
    const others = await Promise.all(
      [1, 2].map(() => startServiceOn(t.database, FAST_DELIVERY, { configure })),
    );
    try {
      const id = await subscribe(t.sql, tenant.id, { url: receiver.url() });
      receiver.answer = () => (Math.random() < 0.1 ? 500 : 200);
      const sequence = new Map<string, number>();
      for (let round = 0; round < 20; round++) {
        const batch = Array.from({ length: 20 }, () => {
          const customerId = `customer-${Math.floor(Math.random() * 5)}`;
          const n = (sequence.get(customerId) ?? 0) + 1;
          sequence.set(customerId, n);
          return { customerId, payload: { customerId, n } };
        });
        await writeMessages(t.sql, tenant.id, batch);
      }
      await settled(id, 400, 60_000);
      const counted = new Map<string, number>();
      const dead = new Set(
        (await deliveries(id)).filter(({ state }) => state === 'dead').map((d) => d.message_id),
      );
      expect(dead.size).toBeLessThan(5);
      const seen = new Set<string>();
      for (const { headers, json } of receiver.received) {
        if (seen.has(String(headers['webhook-id']))) continue;
        seen.add(String(headers['webhook-id']));
        expect(json.data.n).toBe((counted.get(json.data.customerId) ?? 0) + 1);
        counted.set(json.data.customerId, json.data.n);
      }
      expect(seen.size).toBe(400);
    } finally {
      for (const other of others) await other.service.close().then(() => other.sql.end());
    }
  });
});
