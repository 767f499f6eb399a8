import { expect, it } from 'vitest';
import { identify, identifyAs } from '../../model/eventId.ts';
import { candidatesOf } from './resolveIds.ts';

it('a UUID is itself, in any case, or an Idempotency-Key, just so', () => {
  const id = '019aa3f2-7c1e-7b3a-9d55-3f1c2b4a5e60';
  for (const sent of [id, id.toUpperCase()]) {
    expect(candidatesOf(sent)).toEqual([id, identifyAs('increment', [sent], sent).eventId]);
  }
});

it('another text is the id of a native event, or an Idempotency-Key', () => {
  const id = 'order-17/line-2';
  expect(candidatesOf(id)).toEqual([identify(id).eventId, identifyAs('increment', [id], id).eventId]);
});

it('one with a space may be source and id of a CloudEvent, whose id may hold more', () => {
  const id = '/gateways/eu-1 a b';
  expect(candidatesOf(id)).toContain(identifyAs('cloudevents', ['/gateways/eu-1', 'a b'], id).eventId);
});
