import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import { isPlainEvent } from '../events/plainEvent.ts';
import { parseMapping } from './mapping.ts';
import { completedEvent, mappedEvent } from './nativeEventOf.ts';

function map(mapping: string, row: Record<string, unknown>, constants = {}, metadata = '') {
  return mappedEvent(parseMapping(mapping, metadata), constants, (column) => row[column]);
}

test('text becomes what the native event has', () => {
  const mapping = 'timestamp=t,inputTokens=i,latencyMs=l,value=v,customerId=c,model=m,eventId=id';
  const row = {
    t: ' 2023-11-16 18:15:46.6805900',
    i: ' 374 ',
    l: '1.5e2',
    v: ' -1.50',
    c: ' x ',
    m: '7',
    id: '9',
  };
  expect(map(mapping, row)).toEqual({
    timestamp: '2023-11-16 18:15:46.6805900Z',
    value: '-1.50',
    customerId: ' x ',
    eventId: '9',
    metadata: { inputTokens: 374, latencyMs: 150, model: '7' },
  });
});

test.each(['1,234', '0x10', '', '1e999', '--1', 'NaN', 'Infinity', '1_000'])('%j is no number', (text) => {
  const event = map('tokens=t', { t: text });
  expect(event.metadata).toEqual(text === '' ? {} : { tokens: text });
});

test.each([
  ['2023-11-16T18:15:46+02:00', '2023-11-16T18:15:46+02:00'],
  ['2023-11-16T18:15:46z', '2023-11-16T18:15:46z'],
  ['2023-11-16 18:15:46', '2023-11-16 18:15:46Z'],
  ['16.11.2023', '16.11.2023'],
])('the time %s is taken as %s', (text, expected) => {
  expect(map('timestamp=t', { t: text }).timestamp).toBe(expected);
});

test('a mapped column wins over a constant, which fills empty cells', () => {
  const constants = { customerId: 'all', model: 'gpt-4', apiEndpoint: '/x', unit: undefined };
  expect(map('customerId=c,model=m', { c: 'one', m: '' }, constants)).toEqual({
    customerId: 'one',
    apiEndpoint: '/x',
    metadata: { model: 'gpt-4' },
  });
});

test('an event takes the short way whatever the command line leaves unsaid', () => {
  const unsaid = {
    eventType: undefined,
    sourceId: undefined,
    reference: undefined,
    unit: undefined,
    model: undefined,
  };
  const event = map(
    'timestamp=t,customerId=c,eventId=i',
    { t: '2026-11-30T00:00:00Z', c: 'c', i: 'i' },
    unsaid,
  );
  expect(isPlainEvent(event)).toBe(true);
  const line = { eventId: 'i', timestamp: '2026-11-30T00:00:00Z', customerId: 'c' };
  expect(isPlainEvent(completedEvent(line, unsaid))).toBe(true);
  expect(completedEvent({ ...line, unit: null }, unsaid)).toMatchObject({ unit: undefined });
});

test('other columns are kept as metadata under any name', () => {
  const row = JSON.parse('{"region":"eu","__proto__":"x","empty":""}');
  const { metadata } = map('', row, {}, 'region,__proto__,empty');
  expect(JSON.stringify(metadata)).toBe('{"region":"eu","__proto__":"x"}');
});

test('a native event is completed, not changed', () => {
  const line = { eventId: 'a', timestamp: '2023-11-16T18:15:46', customerId: 'own', metadata: { tokens: 1 } };
  const constants = { customerId: 'all', model: 'gpt-4', reference: 'r' };
  expect(completedEvent(line, constants)).toEqual({
    ...line,
    timestamp: '2023-11-16T18:15:46Z',
    reference: 'r',
    metadata: { tokens: 1, model: 'gpt-4' },
  });
  expect(line.metadata).toEqual({ tokens: 1 });
  expect(completedEvent({ sessionId: 's' }, constants)).not.toHaveProperty('reference');
});

test.each([[null], [[1]], ['text'], [{ metadata: [] }], [{ metadata: 1 }]])(
  '%j is left to the validation',
  (line) => {
    expect(completedEvent(line, { customerId: 'c' })).toBe(line);
  },
);

test.each(['1', '1.', '.1'])(
  'a cell of a million digits %s and a letter is soon told to be no number',
  (digits) => {
    const text = `${digits.repeat(1_000_000)}x`;
    const read = () => map('tokens=t', { t: text }).metadata;
    expect(runInNewContext('read()', { read }, { timeout: 20_000 })).toEqual({ tokens: text });
  },
);
