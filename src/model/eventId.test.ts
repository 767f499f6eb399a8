import fc from 'fast-check';
import { v5 } from 'uuid';
import { describe, expect, it } from 'vitest';
import { identify } from './eventId.ts';

describe('identify', () => {
  it('takes a UUID of any version and case for itself', () => {
    fc.assert(
      fc.property(fc.uuid(), (uuid) => {
        const itself = { eventId: uuid, externalId: null };
        expect(identify(uuid)).toEqual(itself);
        expect(identify(uuid.toUpperCase())).toEqual(itself);
      }),
    );
    const nil = '00000000-0000-0000-0000-000000000000';
    expect(identify(nil)).toEqual({ eventId: nil, externalId: null });
  });

  it('makes any other id a UUIDv5, the same for ever', () => {
    // Identities in every database depend on these: they must never change.
    expect(identify('order-17/line-2')).toEqual({
      eventId: 'd09fa0a1-750b-5ae3-bdd3-3e02b8ed3343',
      externalId: 'order-17/line-2',
    });
    expect(identify('客户 é')).toEqual({
      eventId: '6ea16c5a-f43d-548c-ad8c-d6487b667cd5',
      externalId: '客户 é',
    });
  });

  it('makes the UUIDv5 that others make of it', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1, maxLength: 300, unit: 'binary' }), (id) => {
        expect(identify(id).eventId).toBe(v5(id, '6f1c4a52-0d0e-5b7c-9a53-7a1d3e5c8b21'));
      }),
    );
  });

  it('keeps different ids apart', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1 }), fc.string({ minLength: 1 }), (a, b) => {
        expect(identify(a).eventId === identify(b).eventId).toBe(a === b);
        expect(identify(a).eventId).toMatch(
          /^[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/,
        );
      }),
    );
  });

  it('does not take for a UUID what is only like one', () => {
    const uuid = '019aa3f2-7c1e-7b3a-9d55-3f1c2b4a5e60';
    for (const near of [
      `{${uuid}}`,
      ` ${uuid}`,
      `${uuid}0`,
      uuid.replaceAll('-', ''),
      uuid.replace('f', 'ｆ'),
    ]) {
      expect(identify(near)).toMatchObject({ externalId: near });
    }
  });
});
