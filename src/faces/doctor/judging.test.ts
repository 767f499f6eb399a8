import { describe, expect, test } from 'vitest';
import { loadConfig } from '../../ground/config/loadConfig.ts';
import { judgeSkew, measureSkew } from './checks/clock.ts';
import { connectionsOf } from './checks/connections.ts';
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
