import { Registry } from 'prom-client';
import { describe, expect, it, vi } from 'vitest';
import type { Queryable } from '../../ground/db/queryable.ts';
import type { TidemarkError } from '../../model/errors.ts';
import { Authenticator } from './authenticator.ts';
import { hashKey } from './secrets.ts';
import { WrongKeys } from './wrongKeys.ts';

const ADMIN_KEY = 'the platform key of now';
const PREVIOUS = 'the platform key before';
const ROW = { tenant_id: 't', scopes: ['read'], expires_at: null, revoked_at: null, active: true };

interface Lookup {
  /** Lets the database answer: with the row of the key as it was when it was asked. */
  answer(): void;
}

/** A database with these keys, whose look-ups wait for `answer` where `held` says so. */
function setUp({ perMinute = 3, held = false } = {}) {
  const good = new Map<string, object>();
  const lookups: Lookup[] = [];
  const query = (text: string, [hash]: [Buffer]) => {
    if (!text.includes('from api_key')) return Promise.resolve({ rows: [] });
    const row = good.get(hash.toString('hex'));
    const answer = { rows: row ? [row] : [] };
    return new Promise((resolve) => {
      lookups.push({ answer: () => resolve(answer) });
      if (!held) resolve(answer);
    });
  };
  const authenticator = new Authenticator({
    db: { query } as unknown as Queryable,
    adminKeys: [ADMIN_KEY.replaceAll(' ', '-'), PREVIOUS.replaceAll(' ', '-')],
    wrongKeys: new WrongKeys(perMinute, new Registry()),
    limits: { requestsPerSecond: 0, eventsPerSecond: 0 },
    waitMs: 100,
  });
  const ask = (key: string, address = 'a') =>
    authenticator
      .authenticate(`Bearer ${key.replaceAll(' ', '-')}`, () => address)
      .then(
        (caller) => caller.tenantId ?? 'platform',
        (error: TidemarkError) => error.code,
      );
  const add = (key: string, row: object = {}) =>
    good.set(hashKey(key).toString('hex'), { id: key, ...ROW, ...row });
  return { authenticator, ask, add, lookups };
}

/** Until whatever can go on without the database has gone on. */
const settled = () => new Promise((resolve) => setTimeout(resolve, 20));

describe('an address that shows wrong keys', () => {
  it('is refused without asking the database, and others are not', async () => {
    const { ask, lookups } = setUp();
    for (let i = 0; i < 3; i++) expect(await ask(`wrong-${i}`)).toBe('key_unknown');
    expect(await ask('wrong-in-turn')).toBe('key_unknown');
    const asked = lookups.length;
    for (let i = 0; i < 100; i++) expect(await ask(`wrong-again-${i}`)).toBe('too_many_requests');
    expect(await ask('wrong-0')).toBe('too_many_requests');
    expect(lookups).toHaveLength(asked);
    expect(await ask('wrong', 'b')).toBe('key_unknown');
  });

  it('counts one wrong key as often as it is shown', async () => {
    const { ask, lookups } = setUp();
    for (let i = 0; i < 4; i++) expect(await ask('wrong')).toBe('key_unknown');
    expect(await ask('wrong')).toBe('too_many_requests');
    expect(lookups).toHaveLength(1);
  });

  it('goes on with a key that has been good there or elsewhere, also after it was forgotten', async () => {
    const { authenticator, ask, add } = setUp();
    add('good');
    add('new');
    expect(await ask('good', 'b')).toBe('t');
    for (let i = 0; i < 10; i++) await ask(`wrong-${i}`);
    for (let i = 0; i < 10; i++) {
      expect(await ask('good')).toBe('t');
      authenticator.forget();
    }
    expect(await ask('new')).toBe('too_many_requests');
    expect(await ask('new', 'b')).toBe('t');
    expect(await ask('new')).toBe('t');
  });

  it('goes on with a platform key that it has used itself, and cannot guess one that others use', async () => {
    for (const key of [ADMIN_KEY, PREVIOUS]) {
      const { ask } = setUp();
      expect(await ask(key, 'b')).toBe('platform');
      for (let i = 0; i < 10; i++) {
        await ask(`wrong-${i}`, 'a');
        await ask(`wrong-${i}`, 'b');
      }
      expect(await ask(key, 'a')).toBe('too_many_requests');
      expect(await ask(key, 'b')).toBe('platform');
    }
  });

  it('gains nothing by asking for all at once', async () => {
    const { ask, add, lookups } = setUp();
    add('good');
    const answers = await Promise.all(Array.from({ length: 500 }, (_, i) => ask(`wrong-${i}`)));
    expect(answers.filter((code) => code === 'key_unknown').length).toBeLessThanOrEqual(3 + 1 + 2);
    expect(lookups.length).toBeLessThanOrEqual(3 + 1 + 2);
    expect(new Set(answers)).toEqual(new Set(['key_unknown', 'too_many_requests']));
  });

  it('is not one that shows many good keys at once, or revoked ones', async () => {
    const { ask, add } = setUp();
    for (let i = 0; i < 200; i++) add(`good-${i}`);
    add('revoked', { revoked_at: new Date() });
    const answers = await Promise.all(Array.from({ length: 200 }, (_, i) => ask(`good-${i}`)));
    expect(new Set(answers)).toEqual(new Set(['t']));
    for (let i = 0; i < 20; i++) expect(await ask('revoked')).toBe('key_revoked');
    expect(await ask('wrong')).toBe('key_unknown');
  });
});

describe('what the database has said', () => {
  it('is asked for once for all who wait', async () => {
    const { ask, add, lookups } = setUp();
    add('good');
    const answers = await Promise.all(Array.from({ length: 100 }, () => ask('good')));
    expect(new Set(answers)).toEqual(new Set(['t']));
    expect(lookups.length).toBeLessThanOrEqual(2);
  });

  it('is not remembered where a key changed before it arrived', async () => {
    const { authenticator, ask, add, lookups } = setUp({ held: true });
    add('good');
    const before = ask('good');
    await settled();
    add('good', { revoked_at: new Date() });
    authenticator.forget();
    lookups[0]!.answer();
    expect(await before).toBe('t'); // it was asked before the change
    const after = ask('good');
    await settled();
    lookups[1]!.answer();
    expect(await after).toBe('key_revoked');
  });

  it('is believed for five seconds from when it was asked', async () => {
    const { ask, add, lookups } = setUp({ held: true });
    add('good');
    vi.useFakeTimers({ toFake: ['performance'] });
    try {
      const first = ask('good');
      await settled();
      vi.advanceTimersByTime(4_000); // a slow answer
      lookups[0]!.answer();
      expect(await first).toBe('t');
      vi.advanceTimersByTime(999);
      expect(await ask('good')).toBe('t');
      vi.advanceTimersByTime(1);
      const second = ask('good');
      await settled();
      expect(lookups).toHaveLength(2);
      lookups[1]!.answer();
      expect(await second).toBe('t');
    } finally {
      vi.useRealTimers();
    }
  });

  it('ends with the key, also while it is remembered', async () => {
    const { ask, add, lookups } = setUp();
    add('short', { expires_at: new Date(Date.now() + 150) });
    expect(await ask('short')).toBe('t');
    expect(await ask('short')).toBe('t');
    expect(lookups).toHaveLength(1);
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(await ask('short')).toBe('key_expired');
  });
});

describe('a header that was shown a moment ago', () => {
  const header = 'Bearer good';

  it('is recalled without being hashed, in the very spelling that was shown', async () => {
    const { authenticator, ask, add } = setUp();
    add('good');
    expect(authenticator.recall(header)).toBeUndefined();
    expect(await ask('good')).toBe('t');
    expect(authenticator.recall(header)).toMatchObject({ tenantId: 't', keyId: 'good' });
    for (const other of [undefined, '', 'Bearer goo', 'Bearer gooD', 'bearer good', 'Bearer  good', 'good']) {
      expect(authenticator.recall(other), other).toBeUndefined();
    }
  });

  it('is forgotten at once where its key is changed here, and five seconds after it was asked elsewhere', async () => {
    const { authenticator, ask, add } = setUp();
    add('good');
    vi.useFakeTimers({ toFake: ['performance'] });
    try {
      await ask('good');
      for (const ms of [0, 3_000, 1_999]) {
        vi.advanceTimersByTime(ms);
        expect(await ask('good')).toBe('t'); // asking again is no reason to believe it for longer
        expect(authenticator.recall(header)).toBeDefined();
      }
      vi.advanceTimersByTime(1);
      expect(authenticator.recall(header)).toBeUndefined();
      await ask('good');
      expect(authenticator.recall(header)).toBeDefined();
      add('good', { revoked_at: new Date() });
      authenticator.forget();
      expect(authenticator.recall(header)).toBeUndefined();
      expect(await ask('good')).toBe('key_revoked');
      expect(authenticator.recall(header)).toBeUndefined();
    } finally {
      vi.useRealTimers();
    }
  });

  it('ends with its key', async () => {
    const { authenticator, ask, add } = setUp();
    add('good', { expires_at: new Date(Date.now() + 150) });
    await ask('good');
    expect(authenticator.recall(header)).toBeDefined();
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(authenticator.recall(header)).toBeUndefined();
  });

  it('is not remembered where its key is refused, of the configuration, or hidden in a long header', async () => {
    const { authenticator, ask, add } = setUp();
    add('revoked', { revoked_at: new Date() });
    add('good');
    const padded = `${' '.repeat(300)}good`;
    for (let i = 0; i < 3; i++) {
      await ask('wrong');
      await ask('revoked');
      await ask(ADMIN_KEY);
      await authenticator.authenticate(`Bearer ${padded}`, () => 'a');
    }
    for (const key of ['wrong', 'revoked', ADMIN_KEY.replaceAll(' ', '-'), padded]) {
      expect(authenticator.recall(`Bearer ${key}`), key).toBeUndefined();
    }
  });

  it('makes room for others: ten thousand are remembered', async () => {
    const { authenticator, ask, add } = setUp();
    for (let i = 0; i < 10_100; i++) {
      add(`good-${i}`);
      await ask(`good-${i}`);
    }
    const recalled = Array.from({ length: 10_100 }, (_, i) => authenticator.recall(`Bearer good-${i}`));
    expect(recalled.filter(Boolean)).toHaveLength(10_000);
    expect(recalled[10_099]).toBeDefined();
    expect(recalled[0]).toBeUndefined();
  });
});

it('a database that does not answer keeps nobody waiting for ever', async () => {
  const { ask, add } = setUp({ held: true });
  for (let i = 0; i < 10; i++) add(`good-${i}`);
  const stuck = [ask('good-0'), ask('good-1')];
  const waiting = await Promise.all([2, 3, 4].map((i) => ask(`good-${i}`)));
  expect(waiting).toEqual(waiting.map(() => 'database_unavailable'));
  expect(await Promise.race([...stuck, settled()])).toBeUndefined();
});

it('a failure of the database holds up nobody else', async () => {
  const { authenticator } = setUp();
  let failing = true;
  const db = {
    query: (text: string) =>
      !text.includes('from api_key')
        ? Promise.resolve({ rows: [] })
        : failing
          ? Promise.reject(new Error('away'))
          : Promise.resolve({ rows: [{ id: 'k', ...ROW }] }),
  };
  Object.assign(authenticator, { db });
  const ask = (key: string) => authenticator.authenticate(`Bearer ${key}`, () => 'a');
  const failed = await Promise.allSettled(Array.from({ length: 10 }, (_, i) => ask(`key-${i}`)));
  expect(failed.every(({ status }) => status === 'rejected')).toBe(true);
  failing = false;
  expect(await ask('key-1')).toMatchObject({ tenantId: 't' });
});
