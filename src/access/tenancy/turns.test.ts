import { expect, it } from 'vitest';
import { Turns } from './turns.ts';

const late = () => new Error('too late');

it('lets so many go at a time, in the order they came', async () => {
  const turns = new Turns(2, 10_000, late);
  const order: number[] = [];
  let going = 0;
  let most = 0;
  await Promise.all(
    Array.from({ length: 20 }, (_, i) =>
      turns.take(async () => {
        most = Math.max(most, ++going);
        order.push(i);
        await new Promise((resolve) => setImmediate(resolve));
        going--;
      }),
    ),
  );
  expect(most).toBe(2);
  expect(order).toEqual(Array.from({ length: 20 }, (_, i) => i));
});

it('goes on after a failure', async () => {
  const turns = new Turns(1, 10_000, late);
  const work = [1, 2, 3].map((n) => turns.take(() => (n < 3 ? Promise.reject(n) : Promise.resolve(n))));
  expect(await Promise.allSettled(work)).toEqual([
    { status: 'rejected', reason: 1 },
    { status: 'rejected', reason: 2 },
    { status: 'fulfilled', value: 3 },
  ]);
});

it('lets nobody wait for ever, and keeps the turns of those who gave up', async () => {
  const turns = new Turns(1, 30, late);
  let release: () => void = late;
  const stuck = turns.take(
    () =>
      new Promise<void>((resolve) => {
        release = resolve;
      }),
  );
  const waited = await Promise.allSettled([1, 2, 3].map((n) => turns.take(async () => n)));
  expect(waited.map((result) => result.status === 'rejected' && result.reason.message)).toEqual(
    Array.from({ length: 3 }, () => 'too late'),
  );
  release();
  await stuck;
  expect(await turns.take(async () => 4)).toBe(4);
});
