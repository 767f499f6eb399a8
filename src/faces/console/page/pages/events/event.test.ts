import { expect, it } from 'vitest';
import { parseExact } from '../../format/json.ts';
import { asPosted, differences, type Event, windowOf } from './event.ts';

it('finds what differs, to the last digit, however deep', () => {
  const before = parseExact('{"a":1.50,"b":{"c":[1,2],"d":{}},"e":"x"}');
  const after = parseExact('{"a":1.5,"b":{"c":[1,3],"d":{"f":null}},"g":"x"}');
  expect(differences(before, after)).toEqual([
    ['a', '1.50', '1.5'],
    ['b.c.1', '2', '3'],
    ['b.d', '{}', ''],
    ['e', '"x"', ''],
    ['b.d.f', '', 'null'],
    ['g', '', '"x"'],
  ]);
  expect(differences(before, before)).toEqual([]);
});

it('posts an event without what the service added, and knows its window', () => {
  const event: Event = {
    eventId: 'x',
    timestamp: '2026-11-30T12:00:59.999999Z',
    receivedAt: '2026-11-30T12:01:00.000000Z',
    tenantId: 't',
    customerId: 'acme',
    eventType: 'api.request',
    metadata: { a: 1 },
    voidedAt: '2026-11-30T12:02:00.000000Z',
    correction: { id: 'y', reason: 'z', actor: { kind: 'key', keyId: null } },
    meters: [],
  };
  const { eventId, timestamp, customerId, eventType, metadata } = event;
  expect(asPosted(event)).toEqual({ eventId, timestamp, customerId, eventType, metadata });
  expect(windowOf(timestamp)).toBe('2026-11-30T12:00:30.000Z');
});
