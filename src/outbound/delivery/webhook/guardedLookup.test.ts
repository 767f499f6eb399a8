import { expect, it } from 'vitest';
import { addressRule } from './addressRules.ts';
import { GuardedLookup } from './guardedLookup.ts';

const of = (...addresses: string[]) =>
  new GuardedLookup(addressRule([]), async () =>
    addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
  );
const lookUp = (guard: GuardedLookup, options: { all?: boolean; family?: 0 | 4 | 6 }) =>
  new Promise((resolve, reject) => {
    guard.lookup('somewhere.example', options, (error, address) =>
      error ? reject(error) : resolve(address),
    );
  });

it('hands out the addresses that are allowed, and no other', async () => {
  const guard = of('127.0.0.1', '8.8.8.8', '::1', '2606:4700:4700::1111');
  expect(await lookUp(guard, { all: true })).toEqual([
    { address: '8.8.8.8', family: 4 },
    { address: '2606:4700:4700::1111', family: 6 },
  ]);
  expect(await lookUp(guard, {})).toBe('8.8.8.8');
  expect(await lookUp(guard, { family: 6 })).toBe('2606:4700:4700::1111');
  await expect(lookUp(of('8.8.8.8'), { family: 6 })).rejects.toThrow();
});

it('refuses where none is allowed, and passes on what resolving fails with', async () => {
  await expect(lookUp(of('10.0.0.1', '::1'), { all: true })).rejects.toMatchObject({
    code: 'endpoint_forbidden',
  });
  await expect(of('8.8.8.8').addresses('[::1]')).rejects.toMatchObject({ code: 'endpoint_forbidden' });
  await expect(of('8.8.8.8').addresses('127.0.0.1')).rejects.toMatchObject({ code: 'endpoint_forbidden' });
  const away = new GuardedLookup(addressRule([]), async () => {
    throw Object.assign(new Error('nothing'), { code: 'ENOTFOUND' });
  });
  await expect(lookUp(away, { all: true })).rejects.toMatchObject({ code: 'ENOTFOUND' });
});
