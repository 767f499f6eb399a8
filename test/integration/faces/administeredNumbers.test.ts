import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeEngine } from '../../support/database.ts';
import { ADMIN_KEY, startTestService, type TestService } from '../../support/service.ts';

const LONG = '12345678901234567890';
const RULE = '"kind":"usage","measure":"value","period":"day"';

describeEngine('a number in what administrates', () => {
  let t: TestService;
  beforeAll(async () => {
    t = await startTestService();
  });
  afterAll(() => t.stop());

  const send = (method: string, path: string, key: string, body: string) =>
    t.call(method, path, { key, body, headers: { 'content-type': 'application/json' } });

  it.each(['123', LONG, '1e400', '-0.1000000000000000000001'])(
    '%s is no text, however long',
    async (number) => {
      const { id, key } = await t.tenant();
      const refused: [string, string, string, string][] = [
        ['POST', '/v1/tenants', `{"id":${number},"name":"x"}`, '/id'],
        ['POST', '/v1/tenants', `{"id":"n","name":${number}}`, '/name'],
        ['POST', '/v1/keys', `{"tenantId":${number},"scopes":["read"]}`, '/tenantId'],
        ['POST', '/v1/alert-rules', `{${RULE},"threshold":1,"name":${number}}`, '/name'],
        ['POST', '/v1/alert-rules', `{${RULE},"threshold":1,"eventType":${number}}`, '/eventType'],
        ['POST', '/v1/alert-rules', `{${RULE},"threshold":1,"customers":["a",${number}]}`, '/customers/1'],
        ['POST', '/v1/subscriptions', `{"stream":${number},"messageTypes":["window.closed"]}`, '/stream'],
        ['POST', '/v1/subscriptions', `{"url":${number},"messageTypes":["window.closed"]}`, '/url'],
      ];
      for (const [method, path, body, pointer] of refused) {
        const platform = path === '/v1/tenants' || path === '/v1/keys';
        const answer = await send(method, path, platform ? ADMIN_KEY : key, body);
        expect([body, answer.status, answer.body.errors?.[0].pointer]).toEqual([body, 400, pointer]);
        expect(answer.body.errors[0].message).not.toContain('\u{f8ff}');
      }
      const { rows } = await t.sql.query('select count(*)::int as n from alert_rule where tenant_id = $1', [
        id,
      ]);
      expect(rows).toEqual([{ n: 0 }]);
    },
  );

  it('is what it is where a number is wanted, and a text of the same digits too', async () => {
    const { key } = await t.tenant();
    for (const threshold of [LONG, `"${LONG}"`, `${LONG}.000000000000000001`, '1e-18', '1E+3']) {
      const made = await send('POST', '/v1/alert-rules', key, `{${RULE},"threshold":${threshold}}`);
      const plain = { '1e-18': '0.000000000000000001', '1E+3': '1000' }[threshold];
      expect(made.body).toMatchObject({ threshold: plain ?? threshold.replaceAll('"', '') });
    }
  });

  it('that would become 0 is refused', async () => {
    const { key } = await t.tenant();
    for (const threshold of ['1e-19', '-1e-19', '0.0000000000000000001', '1e-300', '1e-400']) {
      const answer = await send('POST', '/v1/alert-rules', key, `{${RULE},"threshold":${threshold}}`);
      expect([threshold, answer.status, answer.body.errors?.[0].pointer]).toEqual([
        threshold,
        400,
        '/threshold',
      ]);
    }
    for (const threshold of ['0', '-0', '0e-400', '"0.0"']) {
      const made = await send('POST', '/v1/alert-rules', key, `{${RULE},"threshold":${threshold}}`);
      expect([threshold, made.body.threshold]).toEqual([threshold, '0']);
    }
  });

  it('ends a key in ns too, and no later than with the year 9999', async () => {
    const { id } = await t.tenant();
    const make = (expiresAt: string) =>
      send('POST', '/v1/keys', ADMIN_KEY, `{"tenantId":"${id}","scopes":["read"],"expiresAt":${expiresAt}}`);
    expect((await make('4102444800123456789')).body.expiresAt).toBe('2100-01-01T00:00:00.123Z');
    expect((await make('"9999-12-31T23:59:59Z"')).body.expiresAt).toBe('9999-12-31T23:59:59.000Z');
    for (const beyond of ['"9999-12-31T23:59:60Z"', '"9999-12-31T24:00Z"', '"9999-12-31T23:59:59-00:01"']) {
      const answer = await make(beyond);
      expect([beyond, answer.status, answer.body.errors?.[0].pointer]).toEqual([beyond, 400, '/expiresAt']);
    }
  });
});
