import { expect, test } from 'vitest';
import { StartupError } from '../../model/errors.ts';
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
  ['usage=a', 'usage', 'says already what usage is'],
])('--map %s --metadata %s: %s', (map, metadata, message) => {
  expect(() => parseMapping(map, metadata)).toThrow(StartupError);
  expect(() => parseMapping(map, metadata)).toThrow(message);
});

test('a column that happens to be called as JSON is may be kept as the text that it is', () => {
  expect(parseMapping('timestamp=ts', 'usage,response,metadata').metadata).toEqual([
    'usage',
    'response',
    'metadata',
  ]);
});

test('a column that is not there, or twice', () => {
  const mapping = parseMapping('timestamp=ts', 'region');
  expect(() => locateColumns(mapping, ['ts', 'Region'])).toThrow(
    'the file has no column region; it has ts, Region',
  );
  expect(() => locateColumns(mapping, ['ts', 'region', 'ts'])).toThrow('the file has two columns ts');
});

test('a column in quotes is taken as it stands', () => {
  const columnsOf = (map: string | string[]) =>
    parseMapping(map, '').columns.map(({ target, column }) => [target.name, column]);
  expect(columnsOf('timestamp= when ,tokens=" c",value="tokens, total" , unit="a=b"')).toEqual([
    ['timestamp', 'when'],
    ['tokens', ' c'],
    ['value', 'tokens, total'],
    ['unit', 'a=b'],
  ]);
  expect(columnsOf('tokens="say ""x"", twice",value="",model=5" disk')).toEqual([
    ['tokens', 'say "x", twice'],
    ['value', ''],
    ['model', '5" disk'],
  ]);
  expect(columnsOf(['tokens="a,b"', 'value=c,unit=" d "'])).toEqual([
    ['tokens', 'a,b'],
    ['value', 'c'],
    ['unit', ' d '],
  ]);
  expect(parseMapping('', ['" c", plain ', '"a,b"']).metadata).toEqual([' c', 'plain', 'a,b']);
});

test.each(['tokens="a', 'tokens="a"b', 'tokens="a" b,value=c', 'tokens="""'])(
  'quotes that are not closed, or are followed by something: %s',
  (map) => expect(() => parseMapping(map, '')).toThrow('a column in quotes ends with one'),
);

test('a column that is not there is told as it has to be written', () => {
  const header = [' c', 'tokens, total', 'say "x"', '"q"', ''];
  expect(() => locateColumns(parseMapping('tokens=c', ''), header)).toThrow(
    'the file has no column c; it has " c", "tokens, total", say "x", """q""", ""',
  );
  for (const column of header) {
    const mapping = parseMapping(`tokens="${column.replaceAll('"', '""')}"`, '');
    expect([...locateColumns(mapping, header)]).toEqual([[column, header.indexOf(column)]]);
  }
});
