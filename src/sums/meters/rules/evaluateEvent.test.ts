import { expect, it } from 'vitest';
import { usageEvent } from '../../../../test/support/usageEvent.ts';
import { parseJson } from '../../../model/json.ts';
import type { UsageEvent } from '../../../model/usageEvent.ts';
import { checkMeterDefinition, seriesOf } from '../definition/meterDefinition.ts';
import { type Outcome, SeriesRule } from './evaluateEvent.ts';

const EVENT = usageEvent({ tsMicros: 1_000_000, eventType: 'upload' });

/** With metadata in raw JSON. */
const anEvent = (metadata: string | null, columns: Partial<UsageEvent> = {}): UsageEvent => ({
  ...EVENT,
  document: metadata === null ? null : (parseJson(metadata) as UsageEvent['document']),
  ...columns,
});

function outcomeOf(event: UsageEvent, definition: object): Outcome {
  const checked = checkMeterDefinition({
    eventType: 'upload',
    aggregation: 'sum',
    value: '$.size',
    ...definition,
  });
  if (checked.faults) throw new Error(JSON.stringify(checked.faults));
  return new SeriesRule(seriesOf(checked.definition)).evaluate(event);
}

const valueAt = (path: string, metadata: string | null, columns?: Partial<UsageEvent>) => {
  const outcome = outcomeOf(anEvent(metadata, columns), { value: path });
  return outcome.matches ? (outcome.value ?? outcome.ignored) : outcome.because;
};

it.each<[string, string | null, Partial<UsageEvent>, string]>([
  ['$.size', '{"size":5}', {}, '5'],
  ['$.size', '{"size":"5"}', {}, '5'],
  ['$.size', '{}', {}, 'missing'],
  ['$.size', null, {}, 'missing'],
  ['$.size', '{"size":null}', {}, 'null'],
  ['$.a.b[1]', '{"a":{"b":[1,2]}}', {}, '2'],
  ['$.a.b[-2]', '{"a":{"b":[1,2]}}', {}, '1'],
  ['$.a.b[-3]', '{"a":{"b":[1,2]}}', {}, 'missing'],
  ['$.a.b[2]', '{"a":{"b":[1,2]}}', {}, 'missing'],
  ['$.a[0]', '{"a":{"0":5}}', {}, 'missing'],
  ["$.a['0']", '{"a":[5]}', {}, 'missing'],
  ["$.a['0']", '{"a":{"0":5}}', {}, '5'],
  ['$.a[0]', '{"a":5}', {}, 'missing'],
  ['$.a.length', '{"a":[5]}', {}, 'missing'],
  ['$.a.length', '{"a":"text"}', {}, 'missing'],
  ['$.constructor', '{}', {}, 'missing'],
  ['$.a.toString', '{"a":{}}', {}, 'missing'],
  ['$.__proto__', '{"__proto__":7}', {}, '7'],
  ['$.a.toJSON', '{"a":12345678901234567890}', {}, 'missing'],
  ['$[0]', '{"0":1}', {}, 'missing'],
  ['$.tokens', null, { tokens: 7 }, '7'],
  ['$.tokens', '{}', {}, 'missing'],
  // Of clients that know nothing of the field: such metadata are kept with it.
  ['$.tokens', '{"tokens":null}', {}, 'null'],
  ['$.tokens', '{"tokens":"12"}', {}, '12'],
  ['$.model', '{"model":{"a":4}}', {}, 'not_a_number'],
  ['$.model.a', '{"model":{"a":4}}', {}, '4'],
  ['$.latencyMs', null, { latencyMs: 0.1 }, '0.1'],
  ['$.value', null, { value: '1.5' }, '1.5'],
  ['$.value', '{"value":9}', { value: '1.5' }, '1.5'],
  ['$.value', '{"value":9}', {}, '9'],
  ['$.value.a', '{"value":{"a":9}}', {}, '9'],
  ['$.value.a', '{"value":{"a":9}}', { value: '1.5' }, 'missing'],
  ['$.reference', '{"reference":4}', { reference: '3' }, '3'],
  ['$.sessionId', '{"sessionId":4}', { reference: '3' }, '4'],
  ['$.sessionId', '{"sessionId":null}', { reference: '3' }, 'null'],
  ['$.sessionId', '{}', { reference: '3' }, '3'],
  ['$.model', null, { model: 'm' }, 'not_a_number'],
  ['$.model', null, { model: '5' }, '5'],
  ['$.unit', '{"unit":4}', { unit: '5' }, '5'],
  ['$.apiEndpoint', '{"apiEndpoint":4}', { endpoint: '7' }, '7'],
  ['$.inputTokens', null, { inputTokens: 8 }, '8'],
  ['$.outputTokens', null, { outputTokens: 9 }, '9'],
])('%s of %s with %j is %s', (path, metadata, columns, expected) => {
  expect(valueAt(path, metadata, columns)).toBe(expected);
});

it('tells members, dimensions and what is ignored', () => {
  const definition = { aggregation: 'uniqueCount', dimensions: { region: '$.region', plan: '$.plan' } };
  expect(outcomeOf(anEvent('{"size":1.0,"region":"eu","plan":["x"]}'), definition)).toEqual({
    matches: true,
    dims: [null, 'eu'], // by their paths: plan, region
    value: null,
    member: '1',
    ignored: null,
  });
  expect(outcomeOf(anEvent('{"size":[1],"plan":true}'), definition)).toEqual({
    matches: true,
    dims: ['true', null],
    value: null,
    member: null,
    ignored: 'not_a_scalar',
  });
});

it('counts whatever matches', () => {
  expect(outcomeOf(EVENT, { aggregation: 'count', value: null })).toEqual({
    matches: true,
    dims: [],
    value: null,
    member: null,
    ignored: null,
  });
});

it('tells why an event does not match', () => {
  const because = (event: UsageEvent, definition: object) => {
    const outcome = outcomeOf(event, definition);
    return outcome.matches ? 'matches' : outcome.because;
  };
  expect(because({ ...EVENT, eventType: 'uploads' }, {})).toBe('other_type');
  const eventFrom = '1970-01-01T00:00:01Z';
  expect(because(EVENT, { eventFrom })).toBe('matches');
  expect(because({ ...EVENT, tsMicros: 999_999 }, { eventFrom })).toBe('before_event_from');
  expect(because(EVENT, { filter: [{ path: '$.a', exists: true }] })).toBe('filtered');
});

it.each<[string, string, boolean]>([
  ['"equals":1', '1.0', true],
  ['"equals":1', '"1"', false],
  ['"equals":"1"', '1', false],
  ['"equals":12345678901234567890', '12345678901234567890.0', true],
  ['"equals":12345678901234567890', '12345678901234567000', false],
  ['"equals":0', '-0', true],
  ['"equals":null', 'null', true],
  ['"equals":null', 'false', false],
  ['"equals":true', 'true', true],
  ['"equals":true', '"true"', false],
  ['"in":["a",2,null]', '2e0', true],
  ['"in":["a",2,null]', 'null', true],
  ['"in":["a",2,null]', '"b"', false],
  ['"exists":true', 'null', true],
  ['"exists":false', 'null', false],
  ['"greaterThan":5', '5.000000000000000001', true],
  ['"greaterThan":5', '5.0000000000000000001', false],
  ['"greaterThan":5', '"6"', true],
  ['"greaterThan":5', '5', false],
  ['"greaterThan":5', '"x"', false],
  ['"greaterThan":5', '1e20', false],
  ['"greaterThan":"0.000000000000000001"', '1.4e-18', false],
  ['"greaterOrEqual":5', '5.0', true],
  ['"lessThan":"-1.5"', '-2', true],
  ['"lessThan":10', '9', true],
  ['"lessThan":10', 'null', false],
  ['"lessOrEqual":"0.3"', '0.3', true],
  ['"lessOrEqual":"0.3"', '0.30000000000000004', false],
])('{%s} of %s holds: %s', (operator, value, holds) => {
  const filter = parseJson(`[{"path":"$.a",${operator}}]`);
  expect(outcomeOf(anEvent(`{"a":${value}}`), { filter }).matches).toBe(holds);
  expect(outcomeOf(EVENT, { filter }).matches).toBe(operator === '"exists":false');
});
