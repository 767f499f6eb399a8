import { expect, it } from 'vitest';
import { cellAt, guessed, KEPT, type Mapping } from './mapping.ts';

it('guesses what columns are, an id too, unless another column is more clearly one', () => {
  expect(guessed(['id', 'time', 'User ID', 'path', 'team'])).toEqual([
    'eventId',
    'timestamp',
    'customerId',
    'apiEndpoint',
    '',
  ]);
  expect(guessed(['id', 'event_id', 'ts'])).toEqual(['', 'eventId', 'timestamp']);
});

it('finds what a row has where a pointer points, and nothing where no column is meant', () => {
  const mapping: Mapping = {
    header: ['when', 'n', 'timestamp', 'a/b', 'left'],
    columns: ['timestamp', 'tokens', KEPT, KEPT, ''],
    constants: { customerId: 'acme' },
    timeFormat: 'iso',
  };
  const of = (pointer: string) => cellAt(mapping, ['soon', '-1', 'kept', 'c', 'out'], pointer);
  expect(of('/timestamp')).toBe('soon');
  expect(of('/metadata/tokens')).toBe('-1');
  expect(of('/metadata/timestamp')).toBe('kept');
  expect(of('/metadata/a~1b')).toBe('c');
  expect([of(''), of('/customerId'), of('/metadata'), of('/metadata/left')]).toEqual(['', '', '', '']);
});
