import { expect, it } from 'vitest';
import { byDay, columnsOf } from './touchedWindow.ts';

const at = (iso: string, customerId = 'a') => ({ customerId, start: Date.parse(iso) });

it('windows are told apart by the day of UTC, the first one first', () => {
  const windows = [
    at('2026-11-30T00:00:00Z'),
    at('2026-11-29T23:59:30Z'),
    at('2026-11-30T23:59:30Z', 'b'),
    at('1969-12-31T23:59:30Z'),
  ];
  expect(byDay(windows)).toEqual([[windows[3]], [windows[1]], [windows[0], windows[2]]]);
  expect(byDay([])).toEqual([]);
});

it('they are two columns for a statement', () => {
  expect(columnsOf([at('2026-11-30T00:00:00Z'), at('2026-11-30T00:00:30Z', 'b')])).toEqual([
    ['a', 'b'],
    ['2026-11-30T00:00:00.000Z', '2026-11-30T00:00:30.000Z'],
  ]);
});
