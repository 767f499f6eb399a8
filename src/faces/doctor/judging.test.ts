import { describe, expect, test } from 'vitest';
import { loadConfig } from '../../ground/config/loadConfig.ts';
import { judgeSkew, measureSkew } from './checks/clock.ts';
import { connectionsOf } from './checks/connections.ts';
import { judgeTimescale } from './checks/engine.ts';
import { judge, span } from './finding.ts';
import { isAtLeast, parseInfo } from './redisInfo.ts';
import { within } from './within.ts';

test('thresholds are met from their value on', () => {
  const limits = { warnFrom: 10, failFrom: 20 };
  const of = (measured: number) => judge(measured, limits, 'm', 'a').status;
  expect([0, 9, 10, 19, 20].map(of)).toEqual(['ok', 'ok', 'warn', 'warn', 'fail']);
  expect(judge(0, limits, 'm', 'a').advice).toBeUndefined();
});

test('spans of time', () => {
  expect([0, 250, 4_000, 600_000, 10_800_000, 259_200_000].map(span)).toEqual([
    ...['0 ms', '250 ms', '4 s', '10 min', '3 h', '3 days'],
  ]);
});

describe('clock skew', () => {
  test('what the way there and back may account for is none', () => {
    expect(judgeSkew({ aheadMs: 400, uncertaintyMs: 500 }, 'it').message).toContain('agree');
    expect(judgeSkew({ aheadMs: 400, uncertaintyMs: 1 }, 'it')).toMatchObject({ status: 'ok' });
    expect(judgeSkew({ aheadMs: -2_000, uncertaintyMs: 1 }, 'it')).toMatchObject({
      status: 'warn',
      message: 'the clock of it is 2 s behind that of this machine',
    });
    expect(judgeSkew({ aheadMs: 60_000, uncertaintyMs: 1 }, 'it').status).toBe('fail');
    expect(judgeSkew({ aheadMs: 60_000, uncertaintyMs: 60_000 }, 'it').status).toBe('ok');
  });

  test('is measured against the middle of the asking', async () => {
    const { aheadMs, uncertaintyMs } = await measureSkew(async () => Date.now() + 5_000);
    expect(Math.abs(aheadMs - 5_000)).toBeLessThan(uncertaintyMs + 5);
  });
});

describe('TimescaleDB', () => {
  const server = { installed: '2.29.2', available: '2.29.2', license: 'timescale', postgres: 17 };
  const of = (differs: Partial<typeof server> | { installed?: null; available?: null; license?: null }) =>
    judgeTimescale({ ...server, ...differs });

  test('the newest is in order', () => {
    expect(of({})).toEqual({
      status: 'ok',
      message: 'timescale, on TimescaleDB 2.29.2 and PostgreSQL 17, licence timescale',
    });
    expect(of({ installed: '2.30.0', available: '2.30.0', postgres: 18 }).status).toBe('ok');
    expect(of({ installed: '3.0.0', available: '3.0.0' }).status).toBe('ok');
  });

  test('one that is gone, or may not do what it must', () => {
    expect(of({ installed: null })).toMatchObject({
      status: 'fail',
      message: expect.stringContaining('is gone'),
    });
    expect(of({ license: 'apache' })).toMatchObject({
      status: 'fail',
      message: expect.stringContaining('need the Community'),
    });
  });

  test('an update that is pending, in either direction', () => {
    const advice = expect.stringMatching(/^stop every instance, then psql -X .* update'$/);
    for (const [installed, available] of [
      ['2.28.3', '2.29.2'],
      ['2.29.2', '2.29.10'],
      ['2.29.10', '2.30.0'],
    ] as const) {
      const message = expect.stringContaining(`the server has version ${available}`);
      expect(of({ installed, available })).toEqual({ status: 'warn', message, advice });
    }
    for (const available of ['2.29.1', null]) {
      const message = expect.stringContaining(`package is of version ${available ?? 'none'}`);
      const again = 'install the package of TimescaleDB 2.29.2 or newer';
      expect(of({ available })).toEqual({ status: 'warn', message, advice: again });
    }
  });

  test('2.28: on PostgreSQL 15 that has to be left first', () => {
    const old = { installed: '2.28.3', available: '2.28.3' };
    expect(of({ ...old, postgres: 15 })).toMatchObject({
      status: 'warn',
      message: expect.stringContaining('2.29, which wants PostgreSQL 16'),
      advice: expect.stringMatching(/^move to PostgreSQL 17 first: docs\/operations.md/),
    });
    expect(of({ ...old, postgres: 16 })).toMatchObject({
      status: 'warn',
      advice: expect.stringMatching(/^install TimescaleDB 2.29.2 or newer/),
    });
  });

  test('one that is too old', () => {
    const message = expect.stringContaining('2.27.2 and PostgreSQL 17, licence timescale: 2.28 or newer');
    expect(of({ installed: '2.27.2', available: '2.27.2' })).toMatchObject({
      status: 'fail',
      message,
      advice: expect.stringMatching(/^install TimescaleDB 2.28 or newer; stop every instance/),
    });
    expect(of({ installed: '2.27.2' })).toMatchObject({
      status: 'fail',
      message,
      advice: expect.stringMatching(/^stop every instance/),
    });
  });
});

test('INFO of Redis, and its version', () => {
  const info = parseInfo('# Server\r\nredis_version:7.0.15\r\nexecutable:/a:b\r\n\r\n');
  expect(info).toEqual({ redis_version: '7.0.15', executable: '/a:b' });
  const oldest = [6, 2] as const;
  expect(['6.2.0', '7.0.15', '6.0.16', '5.0', '0'].map((version) => isAtLeast(version, oldest))).toEqual([
    ...[true, true, false, false, false],
  ]);
});

test('connections of an instance grow with readers and writers', () => {
  const config = loadConfig({ READ_POOL_SIZE: '20', INGEST_WRITERS: '4' });
  expect(connectionsOf(config) - connectionsOf(loadConfig({}))).toBe(14);
});

test('what does not end in time is given up', async () => {
  await expect(within(10, new Promise(() => undefined))).rejects.toThrow('no answer within 10 ms');
  await expect(within(1_000, Promise.resolve(7))).resolves.toBe(7);
});
