import { validate, version } from 'uuid';
import { expect, test } from 'vitest';
import { identify } from '../../model/eventId.ts';
import { filePrefix, rowId } from './rowId.ts';

const prefix = filePrefix(['a', 'b'], '["1","2"]', null);

test('a UUIDv8 that shows file and line', () => {
  const id = rowId(prefix, 0x12345, '["1","2"]');
  expect(validate(id)).toBe(true);
  expect(version(id)).toBe(8);
  expect(id.replaceAll('-', '').slice(0, 12)).toBe(prefix);
  expect(id).toMatch(/-8000-8001-2345[0-9a-f]{8}$/);
  expect(identify(id)).toEqual({ eventId: id, externalId: null });
});

test('stays what it is: stored identities depend on it', () => {
  expect(prefix).toBe('ab1a694c9e79');
  expect(rowId(prefix, 7, 'row')).toBe('ab1a694c-9e79-8000-8000-0007634768da');
});

test('differs by file, line and text', () => {
  const ids = [
    rowId(prefix, 2, 'row'),
    rowId(prefix, 3, 'row'),
    rowId(prefix, 2, 'row!'),
    rowId(filePrefix(['a', 'b'], '["1","3"]', null), 2, 'row'),
    rowId(filePrefix(['a', 'B'], '["1","2"]', null), 2, 'row'),
    rowId(filePrefix(['a', 'b'], '["1","2"]', 'customer'), 2, 'row'),
    rowId(filePrefix(null, '["1","2"]', null), 2, 'row'),
  ];
  expect(new Set(ids).size).toBe(ids.length);
});

test('ascends with the line, up to 2^40', () => {
  const lines = [1, 2, 255, 256, 65_536, 2 ** 28, 2 ** 28 + 1, 2 ** 40 - 1];
  const ids = lines.map((line) => rowId(prefix, line, String(Math.random())));
  expect(ids.toSorted()).toEqual(ids);
  expect(() => rowId(prefix, 2 ** 40, '')).toThrow(RangeError);
});
