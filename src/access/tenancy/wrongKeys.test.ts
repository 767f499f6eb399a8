import { Registry } from 'prom-client';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { TidemarkError } from '../../model/errors.ts';
import { WrongKeys } from './wrongKeys.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const admission = (keys: WrongKeys, address: string) =>
  keys.admit(address).catch((error: TidemarkError) => {
    expect(error).toBeInstanceOf(TidemarkError);
    return `${error.code} ${error.retryAfterSeconds}`;
  });
const noteMany = async (keys: WrongKeys, address: string, times: number) => {
  for (let i = 0; i < times; i++) await keys.note(address);
};

it('an address with too many wrong keys gets one look-up in five seconds, until its minute is over', async () => {
  const keys = new WrongKeys(3, new Registry());
  await noteMany(keys, 'a', 2);
  expect(await admission(keys, 'a')).toBe('freely');
  await keys.note('a');
  expect(await admission(keys, 'a')).toBe('in turn');
  expect(await admission(keys, 'a')).toBe('too_many_requests 5');
  vi.advanceTimersByTime(4_200);
  expect(await admission(keys, 'a')).toBe('too_many_requests 1');
  vi.advanceTimersByTime(800);
  expect(await admission(keys, 'a')).toBe('in turn');
  vi.advanceTimersByTime(55_000);
  expect(await admission(keys, 'a')).toBe('freely');
});

it('counts each address by itself', async () => {
  const keys = new WrongKeys(1, new Registry());
  await noteMany(keys, 'a', 5);
  await admission(keys, 'a');
  expect(await admission(keys, 'a')).toMatch('too_many_requests');
  expect(await admission(keys, 'b')).toBe('freely');
});

it('remembers so many addresses and no more, those that were wrong last', async () => {
  const keys = new WrongKeys(1, new Registry(), 100);
  for (let i = 0; i < 1_000; i++) {
    await keys.note(`address-${i}`);
    await keys.note('a'); // again and again
    await admission(keys, 'a');
  }
  expect(await admission(keys, 'a')).toMatch('too_many_requests');
  expect(await admission(keys, 'address-999')).toBe('in turn');
  expect(await admission(keys, 'address-902')).toBe('in turn');
  expect(await admission(keys, 'address-900')).toBe('freely');
  const { counts } = keys as unknown as { counts: { dump(): { storage: unknown[] } } };
  expect(counts.dump().storage).toHaveLength(100);
});
