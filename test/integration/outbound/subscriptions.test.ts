import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { TidemarkError } from '../../../src/model/errors.ts';
import { describeEngine } from '../../support/database.ts';
import { startTestService, type TestService } from '../../support/service.ts';

const TIME = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
const SECRET = expect.stringMatching(/^whsec_[A-Za-z0-9+/]{43}=$/);

describeEngine('subscriptions', () => {
  let t: TestService;
  const checked: string[] = [];
  beforeAll(async () => {
    t = await startTestService(
      {},
      {
        async endpointCheck({ url = '' }) {
          checked.push(url);
          if (url.includes('dead')) throw new TidemarkError('endpoint_invalid', 'nobody answers there');
        },
      },
    );
  });
  afterAll(() => t.stop());

  const path = '/v1/subscriptions';
  const send = (key: string, method: string, id: string, body?: unknown) =>
    t.call(method, `${path}${id && '/'}${id}`, { key, body });
  const webhook = { url: 'https://example.test/in?a=b', messageTypes: ['record.processed'] };
  const actions = async (id: string) => {
    const { body } = await t.call('GET', `/v1/audit-log?tenantId=${id}&limit=1000`);
    return body.data.filter(({ action }: { action: string }) => action.startsWith('subscription'));
  };

  it('are made, read, changed and deleted', async () => {
    const { id: tenantId, key } = await t.tenant();
    const made = await send(key, 'POST', '', { ...webhook, customers: ['a', 'b', 'a'], description: 'ours' });
    expect(made).toMatchObject({ status: 201, body: { secret: SECRET } });
    const { secret, ...subscription } = made.body;
    expect(subscription).toEqual({
      id: expect.any(String),
      tenantId,
      url: webhook.url,
      stream: null,
      messageTypes: ['record.processed'],
      customers: ['a', 'b'],
      description: 'ours',
      digest: false,
      active: true,
      disabledAt: null,
      disabledReason: null,
      previousSecretUntil: null,
      createdAt: TIME,
      updatedAt: TIME,
    });
    expect(checked).toContain(webhook.url);
    expect((await send(key, 'GET', subscription.id)).body).toEqual(subscription);

    const changes = { url: 'http://example.test:8080/', messageTypes: ['window.closed'], customers: null };
    const changed = (await send(key, 'PATCH', subscription.id, changes)).body;
    expect(changed).toEqual({ ...subscription, ...changes, updatedAt: TIME });
    expect(checked).toContain(changes.url);
    const off = (await send(key, 'PATCH', subscription.id, { active: false, description: null })).body;
    expect(off).toMatchObject({
      active: false,
      disabledAt: TIME,
      disabledReason: 'by request',
      description: null,
    });
    expect((await send(key, 'PATCH', subscription.id, { active: true })).body).toMatchObject({
      active: true,
      disabledAt: null,
      disabledReason: null,
    });

    expect((await send(key, 'DELETE', subscription.id)).status).toBe(204);
    for (const method of ['GET', 'DELETE', 'PATCH']) {
      const body = method === 'PATCH' ? { active: true } : undefined;
      expect(await send(key, method, subscription.id, body)).toMatchObject({ status: 404 });
    }
    expect((await send(key, 'GET', '')).body.data).toEqual([]);
    const { rows } = await t.sql.query('select active, secret from subscription where id = $1', [
      subscription.id,
    ]);
    expect(rows).toEqual([{ active: false, secret: null }]); // kept for its deliveries
    expect((await actions(tenantId)).map(({ action }: { action: string }) => action).reverse()).toEqual([
      'subscription.created',
      ...Array.from({ length: 3 }, () => 'subscription.updated'),
      'subscription.deleted',
    ]);
  });

  it('keep the old secret beside a new one for a day, and none in the audit log', async () => {
    const { id: tenantId, key } = await t.tenant();
    const { id, secret } = (await send(key, 'POST', '', webhook)).body;
    const rotated = await t.call('POST', `${path}/${id}/rotate-secret`, { key });
    expect(rotated).toMatchObject({ status: 201, body: { id, secret: SECRET, previousSecretUntil: TIME } });
    expect(rotated.body.secret).not.toBe(secret);
    expect(Date.parse(rotated.body.previousSecretUntil) - Date.now()).toBeGreaterThan(86_390_000);
    const { rows } = await t.sql.query('select secret, previous_secret from subscription where id = $1', [
      id,
    ]);
    expect(rows).toEqual([{ secret: rotated.body.secret, previous_secret: secret }]);
    const text = JSON.stringify(await actions(tenantId));
    expect(text).toContain('subscription.secret_rotated');
    for (const each of [secret, rotated.body.secret]) expect(text).not.toContain(each.slice(6));
    expect(JSON.stringify((await send(key, 'GET', '')).body)).not.toContain('whsec_');
  });

  it('to a stream have no secret', async () => {
    const { key } = await t.tenant();
    const stream = { stream: 'shop:messages.v1_x-y', messageTypes: ['window.closed', 'window.closed'] };
    const made = await send(key, 'POST', '', stream);
    expect(made).toMatchObject({
      status: 201,
      body: { secret: null, url: null, messageTypes: ['window.closed'] },
    });
    const { id } = made.body;
    expect((await t.call('POST', `${path}/${id}/rotate-secret`, { key })).body.code).toBe('invalid_request');
    expect((await send(key, 'PATCH', id, { url: webhook.url })).body.code).toBe('invalid_request');
  });

  it.each([
    ['no destination', { messageTypes: ['window.closed'] }, 'invalid_request'],
    ['two destinations', { ...webhook, stream: 'x' }, 'invalid_request'],
    ['no types', { ...webhook, messageTypes: [] }, 'invalid_request'],
    ['an unknown type', { ...webhook, messageTypes: ['nonsense'] }, 'invalid_request'],
    ['an unknown field', { ...webhook, secret: 'whsec_mine' }, 'invalid_request'],
    ['no customer', { ...webhook, customers: [] }, 'invalid_request'],
    ['a stream with a space', { stream: 'a b', messageTypes: ['window.closed'] }, 'invalid_request'],
    [
      'a stream that is too long',
      { stream: 'x'.repeat(129), messageTypes: ['window.closed'] },
      'invalid_request',
    ],
    ['no URL', { ...webhook, url: 'example' }, 'endpoint_invalid'],
    ['another scheme', { ...webhook, url: 'ftp://example.test/' }, 'endpoint_invalid'],
    ['credentials', { ...webhook, url: 'https://me:secret@example.test/' }, 'endpoint_invalid'],
    [
      'a URL that is too long',
      { ...webhook, url: `https://example.test/${'x'.repeat(2_040)}` },
      'invalid_request',
    ],
    ['a dead address', { ...webhook, url: 'https://dead.test/' }, 'endpoint_invalid'],
  ])('are refused with %s, and nothing is stored', async (_, body, code) => {
    const { id, key } = await t.tenant();
    const answer = await send(key, 'POST', '', body);
    expect(answer.body).toMatchObject({ status: 400, code });
    const { rows } = await t.sql.query('select from subscription where tenant_id = $1', [id]);
    expect(rows).toEqual([]);
    expect(await actions(id)).toEqual([]);
  });

  it('keep their URL when another one is refused', async () => {
    const { key } = await t.tenant();
    const { id } = (await send(key, 'POST', '', webhook)).body;
    const refused = await send(key, 'PATCH', id, {
      url: 'https://dead.test/',
      messageTypes: ['window.closed'],
    });
    expect(refused.body.code).toBe('endpoint_invalid');
    expect((await send(key, 'GET', id)).body).toMatchObject(webhook);
  });

  it('are listed in pages, and are at most a hundred', async () => {
    const { key } = await t.tenant();
    const ids: string[] = [];
    for (let i = 0; i < 100; i++) {
      const { body } = await send(key, 'POST', '', { stream: `s${i}`, messageTypes: ['window.closed'] });
      ids.push(body.id);
    }
    expect((await send(key, 'POST', '', webhook)).body).toMatchObject({ status: 409, code: 'limit_reached' });
    const found: string[] = [];
    for (let cursor: string | null = ''; cursor !== null; ) {
      const { body } = await t.call('GET', `${path}?limit=30${cursor && `&cursor=${cursor}`}`, { key });
      found.push(...body.data.map(({ id }: { id: string }) => id));
      cursor = body.nextCursor;
    }
    expect(found).toEqual(ids);
    await send(key, 'DELETE', ids[7]!);
    expect((await send(key, 'POST', '', webhook)).status).toBe(201);
  });

  it('of another tenant are not there', async () => {
    const [own, other] = [await t.tenant(), await t.tenant()];
    const { id } = (await send(other.key, 'POST', '', webhook)).body;
    for (const [method, suffix, body] of [
      ['GET', '', undefined],
      ['PATCH', '', { active: false }],
      ['DELETE', '', undefined],
      ['POST', '/rotate-secret', undefined],
    ] as const) {
      const answer = await t.call(method, `${path}/${id}${suffix}`, { key: own.key, body });
      expect([method, answer.status]).toEqual([method, 404]);
      const nobody = await t.call(method, `${path}/${randomUUID()}${suffix}`, { key: own.key, body });
      expect({ ...nobody.body, requestId: '' }).toEqual({ ...answer.body, requestId: '' });
    }
    expect((await send(other.key, 'GET', id)).body).toMatchObject({
      active: true,
      previousSecretUntil: null,
    });
  });

  it('are not changed while a batch does not end: try again', async () => {
    const { key } = await t.tenant();
    const batch = await t.sql.connect();
    try {
      await batch.query(
        `begin; select * from enter_batch('infinity', (select interest_version from window_state))`,
      );
      const answer = await send(key, 'POST', '', webhook);
      expect(answer).toMatchObject({ status: 503, body: { code: 'overloaded' } });
      expect(answer.headers.get('retry-after')).toBe('1');
      const later = await send(key, 'POST', '', webhook); // it is known to take long now: nobody waits
      expect(later.status).toBe(503);
      // Windows are not told of by batches.
      const windows = { ...webhook, messageTypes: ['window.closed'] };
      expect((await send(key, 'POST', '', windows)).status).toBe(201);
      await batch.query('commit');
      expect((await send(key, 'POST', '', webhook)).status).toBe(201);
    } finally {
      batch.release(true);
    }
  });
});
