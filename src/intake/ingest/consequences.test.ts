import { expect, test } from 'vitest';
import { COUNTER_INCREMENT, type UsageEvent } from '../../model/usageEvent.ts';
import { consequencesOf } from './consequences.ts';
import { CustomerRegistry } from './customerRegistry.ts';

const SECOND = 1_000_000;
const NOON = Date.UTC(2026, 10, 30, 12) * 1_000;
/** Of 30 seconds, since the epoch. */
const WINDOW = NOON / (30 * SECOND);

function row(seconds: number, more: Partial<UsageEvent> = {}): UsageEvent {
  const event = { tenantId: 't', customerId: 'c', eventId: 'e', tsMicros: NOON + seconds * SECOND };
  return { ...event, eventType: 'click', reference: null, value: null, ...more } as UsageEvent;
}

const of = (rows: UsageEvent[], registry = new CustomerRegistry()) => consequencesOf(rows, NOON, registry);

test('closed windows, each once, by tenant, customer and number', () => {
  const { lateWindows, lateEvents } = of([
    row(-1),
    row(-30),
    row(-31),
    row(-1, { customerId: 'd' }),
    row(-1, { tenantId: 'u' }),
    row(-2, { reference: 'r' }),
    row(-31, { customerId: 'd', reference: 'r' }),
    row(0),
  ]);
  const { tenants, customers, numbers, withReferences } = lateWindows;
  const windows = numbers.map((number, i) => [tenants[i], customers[i], number - WINDOW, withReferences[i]]);
  expect(windows).toEqual([
    ['t', 'c', -1, true],
    ['t', 'c', -2, false],
    ['t', 'd', -1, false],
    ['u', 'c', -1, false],
    ['t', 'd', -2, true],
  ]);
  for (const list of Object.values(lateWindows)) if (Array.isArray(list)) expect(list).toHaveLength(5);
  expect(lateEvents).toBe(7);
});

test('what is added to closed windows, values of type negative subtracted', () => {
  const { events, tokens, inputTokens, outputTokens, values } = of([
    row(-1, { tokens: 3, inputTokens: 1, outputTokens: 2, value: '0.1' }),
    row(-40, { eventType: 'negative', value: '5' }),
    row(-2, { tokens: 10, eventType: 'negative', value: '0.3' }),
    row(-3),
    row(-41, { eventType: 'negative', value: '-7' }),
  ]).lateWindows;
  expect({ events, tokens, inputTokens, outputTokens, values }).toEqual({
    events: [3, 2],
    tokens: [13, 0],
    inputTokens: [1, 0],
    outputTokens: [2, 0],
    values: ['-0.2', '2'],
  });
});

test('the earliest window that was taken for open', () => {
  expect(of([row(-1), row(95), row(31)]).openFromMicros).toBe(NOON + 30 * SECOND);
  expect(of([row(-1)]).openFromMicros).toBe(Number.POSITIVE_INFINITY);
});

test('customers that have no row yet, each once', () => {
  const registry = new CustomerRegistry();
  registry.remember('t', 'c');
  const { newCustomers } = of(
    [row(0), row(1, { tenantId: 'u' }), row(-1, { customerId: 'd' }), row(2, { customerId: 'd' })],
    registry,
  );
  expect(newCustomers).toEqual([
    { tenant_id: 'u', external_id: 'c' },
    { tenant_id: 't', external_id: 'd' },
  ]);
});

test('counters by their sum; increments under a key by themselves too', () => {
  const increment = (value: string, more: Partial<UsageEvent> = {}) =>
    row(0, { eventType: COUNTER_INCREMENT, value, ...more });
  const { counterSums, idempotentIncrements } = of([
    increment('0.1'),
    increment('0.2', { eventId: 'f', idempotent: true }),
    increment('5', { customerId: 'd' }),
    row(0, { value: '7' }),
  ]);
  expect(counterSums).toEqual([
    { tenant_id: 't', key: 'c', value: '0.3' },
    { tenant_id: 't', key: 'd', value: '5' },
  ]);
  expect(idempotentIncrements).toEqual([{ tenant_id: 't', key: 'c', value: '0.2', event_id: 'f' }]);
});
