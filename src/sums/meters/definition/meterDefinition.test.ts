import { expect, it } from 'vitest';
import { JsonNumber, parseJson } from '../../../model/json.ts';
import {
  checkAddedDimensions,
  checkMeterDefinition,
  dimensionPlaces,
  type MeterDefinition,
  seriesDigest,
  seriesFromJson,
  seriesJson,
  seriesOf,
} from './meterDefinition.ts';

const SENT = {
  eventType: 'upload',
  aggregation: 'sum',
  value: '$.size',
  dimensions: { region: '$.region', tier: "$['account'].tier" },
  filter: [{ path: '$.status', equals: 'done' }],
};

const definitionOf = (input: unknown): MeterDefinition => {
  const checked = checkMeterDefinition(input);
  if (checked.faults) throw new Error(JSON.stringify(checked.faults));
  return checked.definition;
};
const faultsOf = (input: unknown, beside?: string[]) =>
  (checkMeterDefinition(input, beside).faults ?? []).map(({ pointer, code }) => `${pointer} ${code}`);
const seriesWith = (change: object) => seriesOf(definitionOf({ ...SENT, ...change }));

it('takes a definition as it was sent', () => {
  expect(definitionOf({ ...SENT, eventFrom: '2026-11-01T00:00:00.000001Z' })).toEqual({
    ...SENT,
    eventFromMicros: 1_793_491_200_000_001,
  });
});

it('takes what is null or left out as not set', () => {
  const expected = {
    eventType: 'upload',
    eventFromMicros: null,
    aggregation: 'count',
    value: null,
    dimensions: {},
    filter: [],
  };
  expect(definitionOf({ eventType: 'upload', aggregation: 'count' })).toEqual(expected);
  const nulls = { eventFrom: null, value: null, dimensions: null, filter: null };
  expect(definitionOf({ eventType: 'upload', aggregation: 'count', ...nulls })).toEqual(expected);
});

it.each<[string, object, string[]]>([
  [
    'nothing',
    { eventType: undefined, aggregation: undefined },
    ['/eventType required', '/aggregation required'],
  ],
  ['an empty type', { eventType: '' }, ['/eventType too_short']],
  ['a long type', { eventType: 'x'.repeat(129) }, ['/eventType too_long']],
  ['a type that is no text', { eventType: 5 }, ['/eventType type_invalid']],
  ['a type that cannot be stored', { eventType: 'a\0' }, ['/eventType text_invalid']],
  ['another aggregation', { aggregation: 'median' }, ['/aggregation not_allowed']],
  ['SUM', { aggregation: 'SUM' }, ['/aggregation not_allowed']],
  ['a count with a value', { aggregation: 'count' }, ['/value value_not_allowed']],
  ['a sum without one', { value: null }, ['/value required']],
  ['an empty value', { value: '' }, ['/value path_invalid']],
  ['a value that is no path', { value: 'size' }, ['/value path_invalid']],
  ['a value that may be many', { value: '$..size' }, ['/value path_invalid']],
  ['the document as value', { value: '$' }, ['/value path_invalid']],
  ['NUL in a path', { value: '$["\\u0000"]' }, ['/value path_invalid']],
  ['a number as path', { value: 1 }, ['/value type_invalid']],
  ['a long path', { value: `$.${'a'.repeat(1_023)}` }, ['/value too_long']],
  ['a time without zone', { eventFrom: '2026-11-01T00:00:00' }, ['/eventFrom timestamp_invalid']],
  ['a number as time', { eventFrom: 1_793_491_200 }, ['/eventFrom type_invalid']],
  ['a time long ago', { eventFrom: '1500-01-01T00:00:00Z' }, ['/eventFrom out_of_range']],
  ['a list of dimensions', { dimensions: ['$.a'] }, ['/dimensions type_invalid']],
  ['a name with a dash', { dimensions: { 'a-b': '$.a' } }, ['/dimensions/a-b name_invalid']],
  ['a name that begins with a digit', { dimensions: { '1a': '$.a' } }, ['/dimensions/1a name_invalid']],
  ['an empty name', { dimensions: { '': '$.a' } }, ['/dimensions/ name_invalid']],
  ['a name that ends a line', { dimensions: { 'a\n': '$.a' } }, ['/dimensions/a\n name_invalid']],
  [
    'a long name',
    { dimensions: { ['a'.repeat(65)]: '$.a' } },
    [`/dimensions/${'a'.repeat(65)} name_invalid`],
  ],
  ['a reserved name', { dimensions: { customerId: '$.a' } }, ['/dimensions/customerId name_reserved']],
  ['the name of a column', { dimensions: { events: '$.a' } }, ['/dimensions/events name_reserved']],
  ['__proto__', { dimensions: { ['__proto__']: '$.a' } }, ['/dimensions/__proto__ name_reserved']],
  ['the path of the value', { dimensions: { size: "$[ 'size' ]" } }, ['/dimensions/size path_repeated']],
  ['no path', { dimensions: { a: null } }, ['/dimensions/a type_invalid']],
  ['11 dimensions', { dimensions: names(11) }, ['/dimensions too_many']],
  ['no list of conditions', { filter: {} }, ['/filter type_invalid']],
  ['21 conditions', { filter: Array(21).fill({ path: '$.a', exists: true }) }, ['/filter too_many']],
  ['no condition', { filter: ['a'] }, ['/filter/0 type_invalid']],
  ['no path', { filter: [{ equals: 1 }] }, ['/filter/0/path required']],
  ['no operator', { filter: [{ path: '$.a' }] }, ['/filter/0 operator_required']],
  ['two', { filter: [{ path: '$.a', exists: true, equals: 1 }] }, ['/filter/0/equals operator_repeated']],
  ['another', { filter: [{ path: '$.a', exists: true, like: 1 }] }, ['/filter/0/like unknown_field']],
  ['exists: 1', { filter: [{ path: '$.a', exists: 1 }] }, ['/filter/0/exists type_invalid']],
  ['equals: a list', { filter: [{ path: '$.a', equals: [] }] }, ['/filter/0/equals type_invalid']],
  [
    'equals: a long text',
    { filter: [{ path: '$.a', equals: 'x'.repeat(1_025) }] },
    ['/filter/0/equals too_long'],
  ],
  ['equals: NUL', { filter: [{ path: '$.a', equals: '\0' }] }, ['/filter/0/equals text_invalid']],
  ['in: nothing', { filter: [{ path: '$.a', in: [] }] }, ['/filter/0/in type_invalid']],
  ['in: 101', { filter: [{ path: '$.a', in: Array(101).fill(1) }] }, ['/filter/0/in too_many']],
  ['in: an object', { filter: [{ path: '$.a', in: [1, {}] }] }, ['/filter/0/in/1 type_invalid']],
  ['a word as bound', { filter: [{ path: '$.a', lessThan: 'x' }] }, ['/filter/0/lessThan value_invalid']],
  ['an empty bound', { filter: [{ path: '$.a', lessThan: '' }] }, ['/filter/0/lessThan value_invalid']],
  ['a bound of null', { filter: [{ path: '$.a', lessThan: null }] }, ['/filter/0/lessThan value_invalid']],
  ['a bound too large', { filter: [{ path: '$.a', lessThan: 1e20 }] }, ['/filter/0/lessThan value_invalid']],
  ['a bound too fine', { filter: [{ path: '$.a', lessThan: 1e-19 }] }, ['/filter/0/lessThan value_invalid']],
  ['infinity', { filter: [{ path: '$.a', equals: Infinity }] }, ['/filter/0/equals out_of_range']],
  ['another member', { customers: [] }, ['/customers unknown_field']],
])('refuses %s', (_, change, faults) => {
  expect(faultsOf({ ...SENT, ...change })).toEqual(faults);
});

function names(count: number): Record<string, string> {
  return Object.fromEntries(Array.from({ length: count }, (_, i) => [`d${i}`, `$.d${i}`]));
}

it('refuses numbers that no event can have, without writing them out', () => {
  const filter = [{ path: '$.a', in: [new JsonNumber('1e999999999'), new JsonNumber('-1e-1001')] }];
  expect(faultsOf({ ...SENT, filter })).toEqual([
    '/filter/0/in/0 out_of_range',
    '/filter/0/in/1 out_of_range',
  ]);
});

it('refuses what is no object', () => {
  for (const input of [null, 'x', [], 5, undefined]) expect(faultsOf(input)).toEqual([' type_invalid']);
});

it('leaves members to the caller that reads them', () => {
  expect(faultsOf({ ...SENT, slug: 5, name: 'x' }, ['slug', 'name'])).toEqual([]);
});

it('allows two dimensions of one path, which a series has once', () => {
  const definition = definitionOf({ ...SENT, dimensions: { b: '$.b', again: "$['b']", a: '$.a' } });
  const series = seriesOf(definition);
  expect(series.paths).toEqual(["$['a']", "$['b']"]);
  expect(dimensionPlaces(definition, series)).toEqual({ b: 1, again: 1, a: 0 });
});

it('has one series for meters that read the same', () => {
  const one = seriesWith({
    value: '$["size"]',
    dimensions: { t: '$.account.tier', r: '$.region' },
    filter: [{ path: '$["status"]', in: ['done', 'done'] }],
  });
  expect(seriesJson(one)).toBe(seriesJson(seriesWith({ aggregation: 'max' })));
  expect(seriesDigest(one)).toEqual(seriesDigest(seriesWith({})));
  expect(seriesDigest(one)).toHaveLength(32);
});

it.each<[string, object]>([
  ['type', { eventType: 'download' }],
  ['time', { eventFrom: '2026-11-01T00:00:00Z' }],
  ['value', { value: '$.bytes' }],
  ['set', { aggregation: 'uniqueCount' }],
  ['count', { aggregation: 'count', value: null }],
  ['dimensions', { dimensions: { region: '$.region' } }],
  ['filter', { filter: [] }],
  ['filter by number', { filter: [{ path: '$.status', equals: 1 }] }],
  ['filter by text of a number', { filter: [{ path: '$.status', equals: '1' }] }],
])('has another series for another %s', (_, change) => {
  expect(seriesDigest(seriesWith(change))).not.toEqual(seriesDigest(seriesWith({})));
});

it.each<[string, string]>([
  ['[{"path":"$.a","equals":1}]', '[{"path":"$[\'a\']","equals":1.0}]'],
  ['[{"path":"$.a","equals":0}]', '[{"path":"$.a","equals":-0.0}]'],
  ['[{"path":"$.a","equals":1e25}]', '[{"path":"$.a","equals":10000000000000000000000000}]'],
  ['[{"path":"$.a","equals":1234567890123456789}]', '[{"path":"$.a","equals":1234567890123456.78900e3}]'],
  ['[{"path":"$.a","in":[1,"1",1.0]}]', '[{"path":"$.a","in":["1",1]}]'],
  ['[{"path":"$.a","in":["x"]}]', '[{"path":"$.a","equals":"x"}]'],
  ['[{"path":"$.a","lessThan":0.10}]', '[{"path":"$.a","lessThan":"+.1e0"}]'],
  [
    '[{"path":"$.a","lessThan":1},{"path":"$.b","exists":true}]',
    '[{"exists":true,"path":"$.b"},{"lessThan":"1","path":"$.a"}]',
  ],
  ['[{"path":"$.a","exists":true},{"path":"$.a","exists":true}]', '[{"path":"$.a","exists":true}]'],
])('takes %s for the same as %s', (one, other) => {
  expect(seriesJson(seriesWith({ filter: parseJson(one) }))).toBe(
    seriesJson(seriesWith({ filter: parseJson(other) })),
  );
});

it('reads a series back from its JSON, in whatever order jsonb has it', () => {
  const filter = parseJson(
    '[{"path":"$.a","in":[12345678901234567890123,"x",null,true]},{"path":"$.b","lessThan":7}]',
  );
  const series = seriesWith({ filter, eventFrom: '2026-11-01T00:00:00.000001Z' });
  expect(seriesFromJson(seriesJson(series))).toEqual(series);
  const turned = JSON.stringify(Object.fromEntries(Object.entries(JSON.parse(seriesJson(series))).reverse()));
  const exact = turned.replace('1.2345678901234568e+22', '12345678901234567890123');
  expect(exact).not.toBe(turned);
  expect(seriesJson(seriesFromJson(exact))).toBe(seriesJson(series));
});

it('adds dimensions to a definition, and changes none', () => {
  const definition = definitionOf(SENT);
  expect(checkAddedDimensions(definition, { plan: '$.plan', region: "$['region']" })).toEqual({
    dimensions: { ...SENT.dimensions, plan: '$.plan', region: "$['region']" },
  });
  const faults = (added: unknown) =>
    checkAddedDimensions(definition, added).faults?.map(({ pointer, code }) => `${pointer} ${code}`);
  expect(faults({ region: '$.zone' })).toEqual(['/dimensions/region immutable']);
  expect(faults({ region: null })).toEqual(['/dimensions/region type_invalid']);
  expect(faults({ size: '$.size' })).toEqual(['/dimensions/size path_repeated']);
  expect(faults(names(9))).toEqual(['/dimensions too_many']);
  expect(faults('x')).toEqual(['/dimensions type_invalid']);
});
