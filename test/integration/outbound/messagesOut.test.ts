import { createHmac } from 'node:crypto';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeEngine } from '../../support/database.ts';
import { FAST_DELIVERY } from '../../support/messages.ts';
import { Receiver } from '../../support/receiver.ts';
import { startTestService, type TestService, until } from '../../support/service.ts';
import { anEvent } from '../../support/traffic.ts';

describeEngine('a subscription made over HTTP', () => {
  let t: TestService;
  let receiver: Receiver;
  let tenant: { id: string; key: string };
  beforeAll(async () => {
    t = await startTestService(FAST_DELIVERY, { endpointCheck: undefined });
    receiver = await Receiver.start();
    tenant = await t.tenant();
  });
  afterAll(async () => {
    await receiver.stop();
    await t.stop();
  });

  const make = (url: string) =>
    t.call('POST', '/v1/subscriptions', {
      key: tenant.key,
      body: { url, messageTypes: ['record.processed', 'alert.triggered'] },
    });

  it('is refused where it leads to a dead or private address, and nothing is stored', async () => {
    for (const [url, code] of [
      ['http://127.0.0.1:9/', 'endpoint_unreachable'],
      ['http://10.0.0.1/', 'endpoint_forbidden'],
      ['http://169.254.169.254/latest/meta-data/', 'endpoint_forbidden'],
      ['http://[::ffff:a9fe:a9fe]/', 'endpoint_forbidden'],
      ['http://[::1]:1/', 'endpoint_forbidden'],
    ] as const) {
      expect([url, (await make(url)).body]).toEqual([url, expect.objectContaining({ status: 400, code })]);
    }
    expect((await t.sql.query('select from subscription')).rowCount).toBe(0);
  });

  it('is sent what events cause, signed with its secret', async () => {
    const made = (await make(receiver.url())).body;
    const rule = { kind: 'event', field: 'tokens', threshold: 100 };
    expect((await t.call('POST', '/v1/alert-rules', { key: tenant.key, body: rule })).status).toBe(201);
    const event = anEvent({ customerId: 'c', metadata: { tokens: 1_500 } });
    expect((await t.call('POST', '/v1/events', { key: tenant.key, body: event })).status).toBe(200);
    await until(() => receiver.received.length === 1);
    const { headers, body, json } = receiver.received[0]!;
    expect(json.type).toBe('alert.triggered');
    const key = Buffer.from(made.secret.slice('whsec_'.length), 'base64');
    const signed = `${headers['webhook-id']}.${headers['webhook-timestamp']}.${body}`;
    const expected = `v1,${createHmac('sha256', key).update(signed).digest('base64')}`;
    expect(headers['webhook-signature']).toBe(expected);
    const listed = await t.call('GET', `/v1/subscriptions/${made.id}/deliveries`, { key: tenant.key });
    expect(listed.body.data).toMatchObject([{ messageId: headers['webhook-id'], customerId: 'c' }]);
  });

  it('is disabled when its receiver is gone, and active again when its owner says so', async () => {
    const made = (await make(receiver.url('/gone'))).body;
    receiver.answer = ({ path }) => (path === '/gone' ? 410 : 204);
    const event = anEvent({ customerId: 'c', metadata: { tokens: 1_500 } });
    await t.call('POST', '/v1/events', { key: tenant.key, body: event });
    const get = async () => (await t.call('GET', `/v1/subscriptions/${made.id}`, { key: tenant.key })).body;
    await until(async () => !(await get()).active);
    expect(await get()).toMatchObject({ active: false, disabledReason: '410 Gone' });
    receiver.answer = () => 204;
    await t.call('PATCH', `/v1/subscriptions/${made.id}`, { key: tenant.key, body: { active: true } });
    const [delivery] = (await t.call('GET', `/v1/subscriptions/${made.id}/deliveries`, { key: tenant.key }))
      .body.data;
    const path = `/v1/subscriptions/${made.id}/deliveries/${delivery.id}/redeliver`;
    expect((await t.call('POST', path, { key: tenant.key })).status).toBe(200);
    await until(() => receiver.at('/gone').length === 2);
  });
});
