import { expect, test } from 'vitest';
import { parseMapping } from './mapping.ts';
import { type Meaning, meaningOf } from './meaning.ts';
import { filePrefix } from './rowId.ts';

const HEADER = ['time', 'in', 'out'];
const ROW = '["2023-11-16 18:00:00","1","2"]';

function prefix({
  map = '',
  metadata = '',
  ...rest
}: Partial<Meaning> & { map?: string; metadata?: string }) {
  const meaning = meaningOf({
    mapping: parseMapping(map, metadata),
    constants: {},
    timeFormat: 'iso',
    guarded: false,
    ...rest,
  });
  return filePrefix(HEADER, ROW, 'acme', meaning);
}

test('whatever is said of the rows makes other ids', () => {
  const map = 'timestamp=time,value=in';
  const prefixes = [
    prefix({ map }),
    prefix({ map: 'timestamp=time,value=out' }),
    prefix({ map: 'timestamp=time,tokens=in' }),
    prefix({ map: 'timestamp=time' }),
    prefix({ map, metadata: 'out' }),
    prefix({ map, metadata: 'in,out' }),
    ...['apiEndpoint', 'model', 'eventType', 'sourceId', 'reference', 'unit'].flatMap((name) => [
      prefix({ map, constants: { [name]: 'x' } }),
      prefix({ map, constants: { [name]: 'y' } }),
    ]),
    prefix({ map, timeFormat: 's' }),
    prefix({ map, timeFormat: 'ms' }),
    prefix({ map, guarded: true }),
    prefix({ constants: { model: 'x' } }),
    prefix({}),
  ];
  expect(new Set(prefixes).size).toBe(prefixes.length);
});

test('a customer for empty cells is said of the rows, where the others name theirs', () => {
  const map = 'timestamp=time,customerId=in';
  const prefixes = [undefined, 'x', 'y'].map((customerId) => prefix({ map, constants: { customerId } }));
  expect(new Set(prefixes).size).toBe(prefixes.length);
});

test('what means the same has the same ids', () => {
  const map = 'timestamp=time,value=in,endpoint=out';
  const same = prefix({ map, metadata: 'in,out', constants: { unit: 'EUR', model: 'm' } });
  expect(
    prefix({
      map: ' apiEndpoint="out" , value=in,timestamp=time',
      metadata: 'out, in,out',
      constants: { model: 'm', unit: 'EUR', eventType: 'api.request', sourceId: undefined },
    }),
  ).toBe(same);
  // The customer is in the prefix by itself.
  expect(
    prefix({ map, metadata: 'in,out', constants: { customerId: 'acme', unit: 'EUR', model: 'm' } }),
  ).toBe(same);
});

test('stays what it is: stored identities depend on it', () => {
  // Native events as they are, as they have always been.
  expect(prefix({ constants: { customerId: 'acme' } })).toBe(filePrefix(HEADER, ROW, 'acme'));
  expect(filePrefix(HEADER, ROW, 'acme')).toMatchInlineSnapshot(`"81e15179eb6f"`);
  expect(
    prefix({ map: 'timestamp=time,inputTokens=in', constants: { model: 'm', apiEndpoint: '/x' } }),
  ).toMatchInlineSnapshot(`"04cea1575f53"`);
});
