import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { IdentityKeys, KEY_SLOTS, keyText, slotOf } from '../../model/identityKey.ts';
import { IdentityClaims } from './identityClaims.ts';

const keys = new IdentityKeys(randomUUID());

function keyOf(event: { tenantId: string; eventId: string }): string {
  const words = new Uint32Array(4);
  keys.write(event, words, 0);
  return keyText(words, 0);
}

const hex = (digits: number) => fc.stringMatching(new RegExp(`^[0-9a-f]{${digits}}$`));
/** Of few different heads and tails, so that many agree in all but a few bits. */
const id = fc
  .tuple(
    fc.constantFrom('00000000', '00000001', 'ffffffff', '0199c2d4'),
    fc.constantFrom('0000', 'ffff', '7a31'),
    fc.oneof(fc.constantFrom('7000', '7fff'), hex(4)),
    hex(4),
    hex(12),
  )
  .map((parts) => parts.join('-'));
const event = fc.record({ tenantId: fc.constantFrom('a', 'b', 'c'), eventId: fc.oneof(id, fc.uuid()) });
const events = fc.uniqueArray(event, { maxLength: 60, selector: (e) => `${e.tenantId} ${e.eventId}` });

describe('IdentityClaims', () => {
  it('has every key once, in order, with its slot and its event', () => {
    fc.assert(
      fc.property(events, (rows) => {
        const claims = new IdentityClaims(rows, keys);
        const { keys: texts, slots, places } = claims.inOrder();
        expect(texts).toEqual(rows.map(keyOf).sort());
        expect(places.map((place) => keyOf(rows[place]!))).toEqual(texts);
        const bySlot = claims.bySlot();
        for (let slot = 0; slot < KEY_SLOTS; slot++) {
          expect(bySlot[slot]!.sort()).toEqual(texts.filter((_, i) => slots[i] === slot));
        }
      }),
      { numRuns: 500 },
    );
  });

  it('deals each key into the column of its slot, in order, into as few rows as that takes', () => {
    fc.assert(
      fc.property(events, (rows) => {
        const columns: string[][] = Array.from({ length: KEY_SLOTS }, () => []);
        let dealt = 0;
        new IdentityClaims(rows, keys).deal((places, words) => {
          for (const [slot, place] of places.entries()) {
            if (place < 0) continue;
            expect(slotOf(words, place)).toBe(slot);
            expect(columns[slot]).toHaveLength(dealt); // no gap above it
            columns[slot]!.push(keyText(words, place));
          }
          dealt++;
        });
        for (const column of columns) expect(column).toEqual(column.toSorted());
        expect(columns.flat().sort()).toEqual(rows.map(keyOf).sort());
        expect(dealt).toBe(Math.max(...columns.map((column) => column.length)));
      }),
      { numRuns: 500 },
    );
  });

  it.each([1, 2, 5_000, 20_000])('sorts %i, random or of one moment or of one head', (n) => {
    for (const head of ['', '0199c2d4-7a31-7', '00000000-0000-4000-8000-']) {
      const rows = Array.from({ length: n }, (_, i) => {
        const random = randomUUID();
        return { tenantId: `t${i % 3}`, eventId: head + random.slice(head.length) };
      });
      const { keys: texts } = new IdentityClaims(rows, keys).inOrder();
      expect(texts).toEqual(rows.map(keyOf).sort());
    }
  });
});
