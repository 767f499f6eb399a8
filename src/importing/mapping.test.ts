import { expect, test } from 'vitest';
import { StartupError } from '../errors.ts';
import { locateColumns, parseMapping } from './mapping.ts';

test('targets, their columns and where these are', () => {
  const mapping = parseMapping('timestamp=When, inputTokens=a=b,endpoint=Path', 'region, host');
  expect(mapping.columns.map(({ target, column }) => [target.name, column])).toEqual([
    ['timestamp', 'When'],
    ['inputTokens', 'a=b'],
    ['apiEndpoint', 'Path'],
  ]);
  expect(mapping.metadata).toEqual(['region', 'host']);
  const places = locateColumns(mapping, ['host', 'a=b', 'other', 'Path', 'When', 'region']);
  expect([...places]).toEqual([
    ['When', 4],
    ['a=b', 1],
    ['Path', 3],
    ['region', 5],
    ['host', 0],
  ]);
});

test.each([
  ['customer=c', '', 'customer is none of eventId, timestamp'],
  ['toString=c', '', 'toString is none of'],
  ['timestamp', '', 'write target=COLUMN, not timestamp'],
  ['timestamp=', '', 'write target=COLUMN'],
  ['apiEndpoint=a,endpoint=b', '', 'apiEndpoint is given twice'],
  ['', 'model', 'model has a meaning of its own'],
])('--map %s --metadata %s: %s', (map, metadata, message) => {
  expect(() => parseMapping(map, metadata)).toThrow(StartupError);
  expect(() => parseMapping(map, metadata)).toThrow(message);
});

test('a column that is not there, or twice', () => {
  const mapping = parseMapping('timestamp=ts', 'region');
  expect(() => locateColumns(mapping, ['ts', 'Region'])).toThrow(
    'the file has no column region; it has ts, Region',
  );
  expect(() => locateColumns(mapping, ['ts', 'region', 'ts'])).toThrow('the file has two columns ts');
});
