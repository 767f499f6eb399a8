import { expect, test } from 'vitest';
import { usageJsonLine } from './exportUsage.ts';
import { usageCsvLine, usageHeader } from './usageCsv.ts';

const POINT = {
  bucket: '2026-11-01T00:00:00.000Z',
  bucketEnd: '2026-11-02T00:00:00.000Z',
  customerId: '+acme',
  calls: '9007199254740993', // 2^53 + 1
  tokens: '12',
  inputTokens: '5',
  outputTokens: '7',
  value: '0.1',
  latency: {
    count: 2,
    avgMs: 1.5,
    maxMs: 2,
    p50Ms: 1,
    p95Ms: 2,
    p99Ms: 2,
    minMs: 1,
    precision: 'fine' as const,
  },
};

test('sums beyond 2^53 keep their digits', () => {
  expect(usageJsonLine(POINT)).toBe(
    '{"bucket":"2026-11-01T00:00:00.000Z","bucketEnd":"2026-11-02T00:00:00.000Z","customerId":"+acme",' +
      '"calls":9007199254740993,"tokens":12,"inputTokens":5,"outputTokens":7,"value":"0.1",' +
      '"latency":{"count":2,"avgMs":1.5,"maxMs":2,"p50Ms":1,"p95Ms":2,"p99Ms":2,"minMs":1,"precision":"fine"}}\n',
  );
  expect(usageCsvLine(POINT, ['customer'])).toBe(
    "2026-11-01T00:00:00.000Z,2026-11-02T00:00:00.000Z,'+acme,9007199254740993,12,5,7,0.1,2,1.5,2,1,2,2,1,fine\r\n",
  );
  expect(usageHeader(['customer'])).toBe(
    'bucket,bucketEnd,customerId,calls,tokens,inputTokens,outputTokens,value,latencyCount,' +
      'latencyAvgMs,latencyMaxMs,latencyP50Ms,latencyP95Ms,latencyP99Ms,latencyMinMs,latencyPrecision\r\n',
  );
});
