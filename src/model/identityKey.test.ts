import { createHash, randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { IdentityKeys, KEY_SLOTS, keyText, slotOf } from './identityKey.ts';

const SECRET = '6f1c4a52-0d0e-4b7c-9a53-7a1d3e5c8b21';

/** As the docstring says it, with numbers of any size. */
function keyBySaying(tenantId: string, eventId: string): string {
  const salt = createHash('sha256').update(`${SECRET}${tenantId}`).digest('hex').slice(0, 20);
  const key = BigInt(`0x${eventId.replaceAll('-', '')}`) ^ BigInt(`0x${salt}`);
  return key
    .toString(16)
    .padStart(32, '0')
    .replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

function keyOf(keys: IdentityKeys, tenantId: string, eventId: string): Uint32Array {
  const words = new Uint32Array(8);
  keys.write({ tenantId, eventId }, words, 4);
  expect([...words.subarray(0, 4)]).toEqual([0, 0, 0, 0]);
  return words.subarray(4);
}

describe('an identity key', () => {
  it('is the id with its last 80 bits XORed with the salt of the tenant', () => {
    const keys = new IdentityKeys(SECRET);
    fc.assert(
      fc.property(fc.uuid(), fc.string(), (eventId, tenantId) => {
        expect(keyText(keyOf(keys, tenantId, eventId), 0)).toBe(keyBySaying(tenantId, eventId));
      }),
    );
  });

  it('never changes: what is stored depends on it', () => {
    const key = keyOf(new IdentityKeys(SECRET), 'acme', '01890a5d-ac96-774b-bcce-b302099a8057');
    expect(keyText(key, 0)).toBe(keyBySaying('acme', '01890a5d-ac96-774b-bcce-b302099a8057'));
    expect([keyText(key, 0), slotOf(key, 0)]).toMatchInlineSnapshot(`
      [
        "01890a5d-ac96-b760-0551-69d559a8e4db",
        4,
      ]
    `);
  });

  it('differs by tenant and by installation, and keeps the first 48 bits', () => {
    const id = randomUUID();
    const made = [
      keyText(keyOf(new IdentityKeys(SECRET), 'a', id), 0),
      keyText(keyOf(new IdentityKeys(SECRET), 'b', id), 0),
      keyText(keyOf(new IdentityKeys(randomUUID()), 'a', id), 0),
    ];
    expect(new Set([id, ...made]).size).toBe(4);
    for (const key of made) expect(key.slice(0, 13)).toBe(id.slice(0, 13));
  });

  it.each([
    ['random ids', () => randomUUID()],
    ['ids that count', (n: number) => `00000000-0000-4000-8000-${n.toString(16).padStart(12, '0')}`],
    [
      'ids that end in a machine',
      (n: number) => `${n.toString(16).padStart(8, '0')}-2c3d-11ef-9b1e-325096b39f47`,
    ],
  ])('has its slot from all of its bits: %s are spread over all of them', (_, id) => {
    const keys = new IdentityKeys(SECRET);
    const counts = new Array<number>(KEY_SLOTS).fill(0);
    for (let n = 0; n < 7_000; n++) counts[slotOf(keyOf(keys, 'acme', id(n)), 0)]!++;
    for (const count of counts) expect(Math.abs(count - 1_000)).toBeLessThan(200);
  });
});
