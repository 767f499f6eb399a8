import { expect, it } from 'vitest';
import { isOfClaim } from './locateEvents.ts';

const MINUTE = 60_000_000;

it('an id that was moved may look younger than its event, within its minute', () => {
  const received = 29_000_000 * MINUTE + 5;
  expect(isOfClaim(received, received)).toBe(true);
  expect(isOfClaim(received, received + MINUTE - 6)).toBe(true);
  expect(isOfClaim(received, received + MINUTE - 5)).toBe(false);
  expect(isOfClaim(received, received - 1)).toBe(false);
});
