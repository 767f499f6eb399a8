import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeEngine } from '../../support/database.ts';
import { startTestService, type TestService } from '../../support/service.ts';

const TIME = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);

describeEngine('alert rules', () => {
  let t: TestService;
  beforeAll(async () => {
    t = await startTestService();
  });
  afterAll(() => t.stop());

  const path = '/v1/alert-rules';
  const send = (key: string, method: string, id: string, body?: unknown) =>
    t.call(method, `${path}${id && '/'}${id}`, { key, body });
  const event = { kind: 'event', field: 'value', threshold: '1.5' };
  const usage = { kind: 'usage', measure: 'tokens', period: 'month', threshold: 1_000_000 };

  it('are made, read, changed and deleted', async () => {
    const { id: tenantId, key } = await t.tenant();
    const threshold = '99999999999999999999.000000000000000001';
    const made = await send(key, 'POST', '', { ...event, threshold, name: 'much', customers: ['a', 'a'] });
    expect(made).toMatchObject({ status: 201 });
    const rule = {
      id: made.body.id,
      tenantId,
      kind: 'event',
      field: 'value',
      name: 'much',
      threshold,
      customers: ['a'],
      eventType: null,
      active: true,
      createdAt: TIME,
      updatedAt: TIME,
    };
    expect(made.body).toEqual(rule);
    expect((await send(key, 'GET', rule.id)).body).toEqual(made.body);
    const other = (await send(key, 'POST', '', { ...usage, eventType: 'click' })).body;
    expect(other).toMatchObject({ ...usage, threshold: '1000000', eventType: 'click', customers: null });
    expect(other).not.toHaveProperty('field');
    expect((await send(key, 'GET', '')).body).toEqual({ data: [made.body, other], nextCursor: null });

    const changes = { name: null, threshold: 1e-7, customers: null, active: false };
    const changed = (await send(key, 'PATCH', rule.id, changes)).body;
    expect(changed).toEqual({ ...rule, ...changes, threshold: '0.0000001' });
    expect((await send(key, 'PATCH', rule.id, {})).body).toMatchObject({
      threshold: '0.0000001',
      active: false,
    });

    expect((await send(key, 'DELETE', rule.id)).status).toBe(204);
    expect((await send(key, 'GET', rule.id)).body.code).toBe('not_found');
    expect((await send(key, 'DELETE', rule.id)).body.code).toBe('not_found');
    const log = (await t.call('GET', `/v1/audit-log?tenantId=${tenantId}`)).body.data;
    expect(log.map(({ action }: { action: string }) => action).slice(0, 4)).toEqual([
      'alert_rule.deleted',
      'alert_rule.updated',
      'alert_rule.created',
      'alert_rule.created',
    ]);
    expect(log[1].changes.after).toEqual({
      kind: 'event',
      field: 'value',
      ...{ name: null, threshold: '0.0000001', customers: null, eventType: null, active: false },
    });
  });

  it.each([
    ['no threshold', { ...event, threshold: undefined }],
    ['a threshold of null', { ...event, threshold: null }],
    ['a threshold that is no number', { ...event, threshold: 'much' }],
    ['a threshold beyond 38 digits', { ...event, threshold: '100000000000000000000' }],
    ['a threshold beyond 18 digits after the point', { ...event, threshold: '0.0000000000000000001' }],
    ['no kind', { field: 'value', threshold: 1 }],
    ['another kind', { ...event, kind: 'other' }],
    ['no field', { kind: 'event', threshold: 1 }],
    ['another field', { ...event, field: 'metadata' }],
    ['what belongs to the other kind', { ...event, period: 'day' }],
    ['no period', { ...usage, period: undefined }],
    ['another period', { ...usage, period: 'week' }],
    ['another measure', { ...usage, measure: 'latencyMs' }],
    ['no customer', { ...event, customers: [] }],
    ['an unknown field', { ...event, active: true }],
  ])('are refused with %s, and nothing is stored', async (name, body) => {
    const { id, key } = await t.tenant();
    const answer = await send(key, 'POST', '', body);
    expect(answer.body).toMatchObject({ status: 400, code: 'invalid_request' });
    if (name.includes('threshold')) expect(answer.body.errors[0].pointer).toBe('/threshold');
    const { rows } = await t.sql.query('select from alert_rule where tenant_id = $1', [id]);
    expect(rows).toEqual([]);
  });

  it('do not change what they compare', async () => {
    const { key } = await t.tenant();
    const { id } = (await send(key, 'POST', '', event)).body;
    for (const body of [{ field: 'tokens' }, { kind: 'usage' }, { threshold: 'x' }, { threshold: null }]) {
      expect((await send(key, 'PATCH', id, body)).body.code).toBe('invalid_request');
    }
    expect((await send(key, 'GET', id)).body).toMatchObject(event);
  });

  it('of another tenant are not there', async () => {
    const [own, other] = [await t.tenant(), await t.tenant()];
    const { id } = (await send(other.key, 'POST', '', event)).body;
    for (const [method, body] of [['GET'], ['PATCH', { threshold: 2 }], ['DELETE']] as const) {
      expect((await send(own.key, method, id, body)).status).toBe(404);
    }
    expect((await send(own.key, 'GET', '')).body.data).toEqual([]);
    expect((await send(other.key, 'GET', id)).body).toMatchObject(event);
  });

  it('are listed in pages, and are at most a hundred', async () => {
    const { key } = await t.tenant();
    for (let i = 0; i < 100; i++) await send(key, 'POST', '', { ...event, name: `rule ${i}` });
    expect((await send(key, 'POST', '', event)).body).toMatchObject({ status: 409, code: 'limit_reached' });
    const names: string[] = [];
    for (let cursor: string | null = ''; cursor !== null; ) {
      const { body } = await t.call('GET', `${path}?limit=40${cursor && `&cursor=${cursor}`}`, { key });
      names.push(...body.data.map(({ name }: { name: string }) => name));
      cursor = body.nextCursor;
    }
    expect(names).toEqual(Array.from({ length: 100 }, (_, i) => `rule ${i}`));
  });
});
