import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import { stringifyJson } from '../../model/json.ts';
import { isPlainEvent } from '../events/plainEvent.ts';
import { parseMapping } from './mapping.ts';
import { completedEvent, mappedEvent } from './nativeEventOf.ts';
import type { RowFault } from './row.ts';

function map(mapping: string, row: Record<string, unknown>, constants = {}, metadata = '') {
  const { event, faults } = read(mapping, row, constants, metadata);
  expect(faults).toEqual([]);
  return event;
}

function read(mapping: string, row: Record<string, unknown>, constants = {}, metadata = '') {
  const faults: RowFault[] = [];
  const cell = (column: string) => row[column];
  const event = mappedEvent(parseMapping(mapping, metadata), constants, cell, 'iso', (fault) =>
    faults.push(fault),
  );
  return { event, faults };
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

test('a column may have JSON: a usage object, a response, all metadata', () => {
  const usage = { prompt_tokens: 1000, completion_tokens: 300 };
  const row = {
    u: JSON.stringify(usage),
    m: '{"region":"eu","tokens":5,"__proto__":{"a":1},"big":12345678901234567890.5}',
    t: '7',
  };
  expect(map('usage=u', row).metadata).toEqual({ usage });
  expect(map('response=u', { u: { usage } }).metadata).toEqual({ response: { usage } });
  expect(map('usage=u', { u: ' null ' }).metadata).toEqual({ usage: null });
  for (const empty of ['', null, undefined])
    expect(map('usage=u,metadata=u', { u: empty }).metadata).toEqual({});
  expect(stringifyJson(map('metadata=m', row).metadata)).toBe(
    '{"region":"eu","tokens":5,"__proto__":{"a":1},"big":12345678901234567890.5}',
  );
  // What has a column of its own comes first, in whichever order they are named.
  for (const mapping of ['metadata=m,tokens=t,usage=u', 'usage=u,tokens=t,metadata=m']) {
    const both = { ...row, m: '{"usage":{"prompt_tokens":1},"tokens":5,"model":"a"}', region: 'us' };
    expect(map(mapping, both, { model: 'b' }, 'region').metadata).toEqual({
      usage,
      tokens: 7,
      model: 'a',
      region: 'us',
    });
  }
});

test.each([
  ['usage=u', '{"prompt_tokens":5', '/metadata/usage', 'invalid_json'],
  ['usage=u', "{'prompt_tokens':5}", '/metadata/usage', 'invalid_json'],
  ['usage=u', ' ', '/metadata/usage', 'invalid_json'],
  ['usage=u', '5', '/metadata/usage', 'type_invalid'],
  ['usage=u', '12345678901234567890.5', '/metadata/usage', 'type_invalid'],
  ['usage=u', '[{"prompt_tokens":5}]', '/metadata/usage', 'type_invalid'],
  ['usage=u', '"{}"', '/metadata/usage', 'type_invalid'],
  ['response=u', 'x', '/metadata/response', 'invalid_json'],
  ['metadata=u', '{"a":}', '/metadata', 'invalid_json'],
  ['metadata=u', 'true', '/metadata', 'type_invalid'],
])('--map %s: %s is refused', (mapping, u, pointer, code) => {
  const { faults } = read(mapping, { u });
  expect(faults).toMatchObject([{ pointer, code }]);
  expect(faults[0]!.message).toContain('column u ');
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
