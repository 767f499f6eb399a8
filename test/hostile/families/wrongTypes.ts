import { type Family, MEMBERS, post, withRaw } from '../hostileRequest.ts';

const VALUES = [
  'null',
  'true',
  'false',
  '0',
  '-1',
  '1.5',
  '""',
  '"x"',
  '[]',
  '[1]',
  '{}',
  '{"a":1}',
  '[[[]]]',
  '"1"',
  '{"toString":1}',
  '{"length":5}',
  '{"0":"a","length":1}',
];
const WHOLE = [
  'null',
  'true',
  '1',
  '"text"',
  '[]',
  '[null]',
  '[[]]',
  '[1,2,3]',
  '{}',
  '[{}]',
  '{"events":[]}',
  '[[{}]]',
  '""',
  '{"length":3}',
];

/** A member, or the whole, of another type. */
export const wrongTypes: Family = (a) => {
  if (a.random() < 0.1) return post(a, a.pick(WHOLE), {}, a.pick(['', '?onInvalid=skip']));
  const bad = withRaw(a.event(), MEMBERS[a.turn % MEMBERS.length]!, a.pick(VALUES));
  if (a.random() < 0.5) return post(a, bad);
  return post(a, `[${JSON.stringify(a.event())},${bad}]`, {}, a.pick(['', '?onInvalid=skip']));
};
