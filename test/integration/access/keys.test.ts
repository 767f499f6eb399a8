import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createKey } from '../../../src/access/tenancy/keys.ts';
import { type HttpServer, listen } from '../../../src/faces/http/server.ts';
import { describeEngine } from '../../support/database.ts';
import {
  ADMIN_KEY,
  startServiceOn,
  startTestService,
  type TestService,
  until,
  whileLocked,
} from '../../support/service.ts';
import { anEvent } from '../../support/traffic.ts';

const PREVIOUS_KEY = 'tm_test_admin_key_before';
const DAY_MS = 86_400_000;

describeEngine('keys', () => {
  let t: TestService;
  let other: TestService;
  beforeAll(async () => {
    t = await startTestService({ ADMIN_KEY_PREVIOUS: PREVIOUS_KEY });
    other = await startServiceOn(t.database);
  });
  afterAll(async () => {
    await other.service.close();
    await other.sql.end();
    await t.stop();
  });

  const make = async (key: string, body: object = { scopes: ['read'] }) =>
    (await t.call('POST', '/v1/keys', { key, body })).body;
  const rotate = (key: string | undefined, id: string, body?: unknown) =>
    t.call('POST', `/v1/keys/${id}/rotate`, { ...(key && { key }), body });
  const shown = async (key: string, id: string) => {
    const { body } = await t.call('GET', '/v1/keys?limit=1000', { key });
    return body.data.find((row: { id: string }) => row.id === id);
  };
  const verdict = async (key: string, service = t) => {
    const { status, body } = await service.call('GET', '/v1/events', { key });
    return status === 200 ? 'good' : body.code;
  };

  describe('are rotated', () => {
    it('into one of the same tenant and scopes, and both are valid', async () => {
      const { id: tenantId, key } = await t.tenant();
      const old = await make(key, { scopes: ['read', 'ingest'] });
      expect(await verdict(old.key)).toBe('good');
      const before = Date.now();
      const { status, body, headers } = await rotate(key, old.id, { overlapSeconds: 3_600 });
      expect([status, body]).toEqual([
        201,
        {
          id: expect.any(String),
          key: expect.stringMatching(/^tm_[\w-]{43}$/),
          tenantId,
          scopes: ['read', 'ingest'],
          expiresAt: null,
          lastUsedAt: null,
          revokedAt: null,
          replaces: old.id,
          replacedBy: null,
          createdAt: expect.any(String),
        },
      ]);
      expect(headers.get('cache-control')).toBe('no-store');
      expect(body.key).not.toBe(old.key);
      const row = await shown(key, old.id);
      expect(row).toMatchObject({ replacedBy: body.id, replaces: null, revokedAt: null });
      const overlap = Date.parse(row.expiresAt) - before;
      expect(overlap).toBeGreaterThan(3_590_000);
      expect(overlap).toBeLessThan(3_700_000);
      const { key: secret, ...rest } = body;
      expect(await shown(key, body.id)).toEqual(rest);
      for (const each of [old.key, body.key]) expect(await verdict(each)).toBe('good');
      const event = { key: body.key, body: anEvent() };
      expect((await t.call('POST', '/v1/events', event)).status).toBe(200);
    });

    it('with a day of both where nothing is said', async () => {
      const { key } = await t.tenant();
      for (const body of [undefined, {}]) {
        const old = await make(key);
        expect((await rotate(key, old.id, body)).status).toBe(201);
        const { expiresAt } = await shown(key, old.id);
        expect(Math.abs(Date.parse(expiresAt) - Date.now() - DAY_MS)).toBeLessThan(60_000);
      }
    });

    it('at once, and by themselves', async () => {
      const { id: tenantId } = await t.tenant();
      const old = await make(ADMIN_KEY, { tenantId, scopes: ['admin', 'read'] });
      expect(await verdict(old.key)).toBe('good');
      const { body } = await rotate(old.key, old.id, { overlapSeconds: 0 });
      expect(await verdict(old.key)).toBe('key_expired');
      expect(await verdict(body.key)).toBe('good');
    });

    it('and the old one ends with the overlap, though it is in use', async () => {
      const { key } = await t.tenant();
      const old = await make(key);
      expect(await verdict(old.key)).toBe('good');
      const { body } = await rotate(key, old.id, { overlapSeconds: 1 });
      await until(async () => (await verdict(old.key)) === 'key_expired');
      expect(await verdict(body.key)).toBe('good');
    });

    it('never past their own end; the new one lives as long as the old one was made to', async () => {
      const { key } = await t.tenant();
      const expiresAt = new Date(Date.now() + 600_000).toISOString();
      const old = await make(key, { scopes: ['read'], expiresAt });
      await t.sql.query(
        `update api_key set created_at = created_at - interval '1 hour', expires_at = expires_at - interval '5 minutes'
         where id = $1`,
        [old.id],
      );
      const { body } = await rotate(key, old.id, { overlapSeconds: 3_600 });
      const { expiresAt: ends } = await shown(key, old.id);
      expect(Date.parse(ends)).toBe(Date.parse(expiresAt) - 300_000);
      const lifetime = Date.parse(body.expiresAt) - Date.parse(body.createdAt);
      expect(Math.abs(lifetime - 3_900_000)).toBeLessThan(10_000);
    });

    it('again by rotating the new one', async () => {
      const { key } = await t.tenant();
      const first = await make(key);
      const second = (await rotate(key, first.id)).body;
      const third = (await rotate(key, second.id, { overlapSeconds: 0 })).body;
      expect(third.replaces).toBe(second.id);
      expect(await verdict(first.key)).toBe('good');
      expect(await verdict(second.key)).toBe('key_expired');
      expect(await verdict(third.key)).toBe('good');
    });

    it('not when they have been revoked, have expired or have been replaced', async () => {
      const { id: tenantId, key } = await t.tenant();
      const [revoked, replaced] = [await make(key), await make(key)];
      const expired = await createKey(t.sql, { tenantId, scopes: ['read'], expiresAt: new Date(0) });
      await t.call('DELETE', `/v1/keys/${revoked.id}`, { key });
      await rotate(key, replaced.id);
      const { rows } = await t.sql.query('select count(*)::int as n from api_key');
      for (const [{ id }, detail] of [
        [revoked, 'has been revoked'],
        [expired, 'has expired'],
        [replaced, 'has been replaced already'],
      ] as const) {
        const { body } = await rotate(key, id);
        expect(body).toMatchObject({ status: 409, code: 'key_not_rotatable', detail: `the key ${detail}` });
      }
      expect((await t.sql.query('select count(*)::int as n from api_key')).rows).toEqual(rows);
    });

    it('once, by whoever asks first', async () => {
      const { key } = await t.tenant();
      const old = await make(key);
      const lock = { text: 'select from api_key where id = $1 for update', values: [old.id] };
      const answers = await whileLocked(t.sql, lock, 4, () =>
        Promise.all(
          [t, other, t, other, t, other].map((service) =>
            service.call('POST', `/v1/keys/${old.id}/rotate`, { body: {} }),
          ),
        ),
      );
      expect(answers.map(({ status }) => status).sort()).toEqual([201, 409, 409, 409, 409, 409]);
      const { rows } = await t.sql.query('select id from api_key where replaces = $1', [old.id]);
      expect(rows).toEqual([{ id: answers.find(({ status }) => status === 201)!.body.id }]);
    });

    it('by their own tenant or the platform; of others they are not there', async () => {
      const [own, foreign] = [await t.tenant(), await t.tenant()];
      const old = await make(foreign.key);
      const platform = await make(ADMIN_KEY, { tenantId: null, scopes: ['read'] });
      const nobody = '00000000-0000-4000-8000-000000000000';
      const answers = [];
      for (const id of [old.id, platform.id, nobody]) {
        const { status, body } = await rotate(own.key, id);
        answers.push([status, { ...body, requestId: '' }]);
      }
      expect(answers[0]).toEqual([404, expect.objectContaining({ code: 'not_found' })]);
      expect(answers).toEqual([answers[0], answers[0], answers[0]]);
      expect(await shown(foreign.key, old.id)).toMatchObject({ expiresAt: null, replacedBy: null });
      expect((await rotate(undefined, old.id)).body).toMatchObject({ tenantId: foreign.id });
      expect((await rotate(undefined, platform.id)).body).toMatchObject({ tenantId: null });
    });

    it('by a request that says what it means', async () => {
      const { key } = await t.tenant();
      const old = await make(key);
      for (const body of [
        ...[{ overlapSeconds: -1 }, { overlapSeconds: 1.5 }, { overlapSeconds: 90 * 86_400 + 1 }],
        ...[{ overlapSeconds: '60' }, { overlapSeconds: null }, { overlap: 60 }, [], 5],
      ]) {
        expect([body, (await rotate(key, old.id, body)).body]).toMatchObject([
          body,
          { status: 400, code: 'invalid_request' },
        ]);
      }
      for (const type of ['text/plain', 'application/x-www-form-urlencoded']) {
        const options = { key, body: '{"overlapSeconds":0}', headers: { 'content-type': type } };
        const { body } = await t.call('POST', `/v1/keys/${old.id}/rotate`, options);
        expect(body).toMatchObject({ status: 415, code: 'unsupported_media_type' });
      }
      expect((await rotate(key, 'not-a-uuid')).body).toMatchObject({ status: 400, code: 'invalid_request' });
      expect(await shown(key, old.id)).toMatchObject({ expiresAt: null, replacedBy: null });
    });
  });

  it('ADMIN_KEY and the one before are both valid', async () => {
    for (const key of [ADMIN_KEY, PREVIOUS_KEY]) {
      expect((await t.call('GET', '/v1/tenants', { key })).status).toBe(200);
    }
    expect((await other.call('GET', '/v1/tenants', { key: PREVIOUS_KEY })).body.code).toBe('key_unknown');
  });

  describe.concurrent('are seen by another instance, which has them in use, within 10 seconds', () => {
    /** Uses the key there without a pause until it is refused. */
    const refusedBy = async (key: string, change: () => Promise<unknown>) => {
      let hot = true;
      const user = (async () => {
        while (hot && (await verdict(key, other)) === 'good') await sleep(10);
      })();
      expect(await verdict(key, other)).toBe('good');
      await sleep(100);
      await change();
      const changed = Date.now();
      let code = 'good';
      await until(async () => {
        code = await verdict(key, other);
        return code !== 'good';
      }, 10_000);
      const tookMs = Date.now() - changed;
      hot = false;
      await user;
      expect(tookMs).toBeLessThan(10_000);
      return code;
    };

    it('when they are revoked', async () => {
      const { key } = await t.tenant();
      const made = await make(key);
      const revoke = () => t.call('DELETE', `/v1/keys/${made.id}`, { key });
      expect(await refusedBy(made.key, revoke)).toBe('key_revoked');
    });

    it('when they are rotated; the new one is good there at once', async () => {
      const { key } = await t.tenant();
      const made = await make(key);
      const change = async () => {
        const { body } = await rotate(key, made.id, { overlapSeconds: 0 });
        expect(await verdict(body.key, other)).toBe('good');
      };
      expect(await refusedBy(made.key, change)).toBe('key_expired');
    });

    it('when their tenant is made inactive', async () => {
      const { id, key } = await t.tenant();
      const change = () => t.call('PATCH', `/v1/tenants/${id}`, { body: { active: false } });
      expect(await refusedBy(key, change)).toBe('tenant_inactive');
    });

    it('and so is the tenant for a platform key that writes for it', async () => {
      const { id } = await t.tenant();
      const write = () => other.call('POST', '/v1/events', { body: { ...anEvent(), tenantId: id } });
      expect((await write()).status).toBe(200);
      await t.call('PATCH', `/v1/tenants/${id}`, { body: { active: false } });
      await until(async () => (await write()).body.code === 'tenant_inactive', 10_000);
    });
  });
});

describeEngine('wrong keys', () => {
  const PER_MINUTE = 5;
  let t: TestService;
  let server: HttpServer;
  beforeAll(async () => {
    const limits = { AUTH_FAILURES_PER_MINUTE: String(PER_MINUTE), TRUSTED_PROXIES: '127.0.0.1' };
    t = await startTestService(limits);
    server = await listen(t.service.app, '127.0.0.1', 0, t.config.http.limits);
  });
  afterAll(async () => {
    await server.close(1_000);
    await t.stop();
  });

  const ask = async (key: string | null, address: string) => {
    const response = await fetch(`${server.address}/v1/keys`, {
      headers: { 'x-forwarded-for': address, ...(key !== null && { authorization: `Bearer ${key}` }) },
    });
    const body = (await response.json()) as { code?: string };
    return {
      status: response.status,
      code: body.code ?? 'good',
      retryAfter: response.headers.get('retry-after'),
    };
  };
  let guesses = 0;
  const guess = (address: string) => ask(`tm_wrong_${++guesses}`, address);
  /** Until the address is slowed down, its turn spent. */
  const slowDown = async (address: string) => {
    const codes = [];
    for (let i = 0; i <= PER_MINUTE; i++) codes.push((await guess(address)).code);
    return codes;
  };

  it('slow their address down: 429 with the seconds to wait', async () => {
    const codes = await slowDown('198.51.100.1');
    expect(codes).toEqual(Array.from({ length: PER_MINUTE + 1 }, () => 'key_unknown'));
    for (let i = 0; i < 20; i++) {
      const answer = await guess('198.51.100.1');
      expect(answer).toMatchObject({ status: 429, code: 'too_many_requests' });
      expect(Number(answer.retryAfter)).toBeGreaterThanOrEqual(1);
      expect(Number(answer.retryAfter)).toBeLessThanOrEqual(5);
    }
    expect((await ask(null, '198.51.100.1')).code).toBe('unauthenticated');
  });

  it('of one address are not those of another, whatever it says it forwards for', async () => {
    await slowDown('198.51.100.2');
    expect((await guess('198.51.100.3')).code).toBe('key_unknown');
    expect((await guess('203.0.113.5, 198.51.100.2')).code).toBe('too_many_requests');
    await slowDown('2001:db8:1:2::1');
    expect((await guess('2001:db8:1:2:ffff::9')).code).toBe('too_many_requests');
    expect((await guess('2001:db8:1:3::1')).code).toBe('key_unknown');
  });

  it('leave the good keys of their address alone', async () => {
    const { key } = await t.tenant();
    const address = '198.51.100.4';
    expect((await ask(key, address)).code).toBe('good');
    expect((await ask(ADMIN_KEY, address)).code).toBe('good');
    await slowDown(address);
    const until = Date.now() + 6_000; // longer than a key is believed
    while (Date.now() < until) {
      for (const each of [key, ADMIN_KEY]) expect((await ask(each, address)).code).toBe('good');
      await guess(address);
      await sleep(50);
    }
  });

  it('let a good key that has not been seen yet wait for its turn', async () => {
    const { key } = await t.tenant();
    const address = '198.51.100.5';
    await slowDown(address);
    for (const each of [key, ADMIN_KEY]) {
      expect((await ask(each, address)).code).toBe('too_many_requests');
      await until(async () => {
        const { code, retryAfter } = await ask(each, address);
        if (code === 'good') return true;
        expect(code).toBe('too_many_requests');
        await sleep(Number(retryAfter) * 1_000);
        return false;
      }, 15_000);
      expect((await ask(each, address)).code).toBe('good');
    }
  });
});
