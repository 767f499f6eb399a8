import fc from 'fast-check';
import { expect, it } from 'vitest';
import { NativeEvent } from './nativeEvent.ts';
import { isPlainEvent } from './plainEvent.ts';

const value = fc.oneof(
  fc.string({ maxLength: 4 }),
  fc.constantFrom(
    '',
    'x'.repeat(64),
    'x'.repeat(65),
    'x'.repeat(129),
    'x'.repeat(256),
    'x'.repeat(257),
    'x'.repeat(1_025),
  ),
  fc.constantFrom(
    0,
    -0,
    -1,
    1,
    0.5,
    1e9,
    1e9 + 1,
    1e10,
    1e10 + 1,
    2 ** 53,
    Number.NaN,
    Number.POSITIVE_INFINITY,
  ),
  fc.constantFrom(null, undefined, true, [], {}),
);
const metadata = fc.dictionary(
  fc.constantFrom('tokens', 'model', 'latencyMs', 'inputTokens', 'outputTokens', 'other', '__proto__'),
  fc.oneof({ weight: 1, arbitrary: value }, { weight: 2, arbitrary: fc.nat(1_000) }),
);
const fields = fc.constantFrom(
  'eventId',
  'timestamp',
  'customerId',
  'tenantId',
  'apiEndpoint',
  'eventType',
  'reference',
  'sessionId',
  'sourceId',
  'unit',
  'value',
  'metadata',
  'other',
  '__proto__',
  'constructor',
);
const input = fc.oneof(
  value,
  fc.record(
    {
      eventId: fc.oneof(fc.constant('e-1'), value),
      timestamp: fc.oneof(fc.constant('2026-11-21T10:00:00Z'), value),
      customerId: fc.oneof(fc.constant('c-1'), value),
      apiEndpoint: fc.oneof(fc.constant('/api'), value),
      tenantId: fc.oneof(fc.constant('t-1'), value),
      eventType: fc.oneof(fc.constant('click'), value),
      reference: fc.oneof(fc.constant('r-1'), value),
      metadata: fc.oneof(metadata, metadata, value),
    },
    { requiredKeys: [] },
  ),
  fc.dictionary(fields, fc.oneof(value, metadata)),
);

it('takes nothing for plain that the schema refuses', () => {
  let plain = 0;
  fc.assert(
    fc.property(input, (event) => {
      if (!isPlainEvent(event)) return;
      plain++;
      expect(NativeEvent.safeParse(event).error).toBeUndefined();
    }),
    { numRuns: 20_000 },
  );
  expect(plain).toBeGreaterThan(50);
});

it('takes the common event for plain', () => {
  const event = {
    eventId: '019aa3f2-7c1e-7b3a-9d55-3f1c2b4a5e60',
    timestamp: '2026-11-21T10:00:00.000Z',
    tenantId: 'acme',
    customerId: 'c-1',
    apiEndpoint: '/api/completion',
    metadata: {
      tokens: 1500,
      model: 'gpt-4',
      latencyMs: 234,
      inputTokens: 500,
      outputTokens: 1000,
      region: 'eu',
    },
  };
  expect(isPlainEvent(event)).toBe(true);
  expect(isPlainEvent({ ...event, customerId: undefined })).toBe(false);
});
