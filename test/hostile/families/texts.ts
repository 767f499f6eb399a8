import { type Family, MEMBERS, post, TEXTS, withRaw } from '../hostileRequest.ts';

const ESCAPES = [
  '"\\u0000"',
  '"\\ud800"',
  '"\\udc00\\ud800"',
  '"\\uD83D"',
  '"\\u00"',
  '"\\x00"',
  '"\\u{41}"',
  '"a\\u0000"',
  '"\\uDBFF\\uDFFF"',
  '"\u0001"',
];
const NAMES = [
  '__proto__',
  'constructor',
  'prototype',
  'toString',
  'hasOwnProperty',
  '__defineGetter__',
  'valueOf',
  '',
  '\u0000',
  '\ud800',
  'a/b~c',
  'toJSON',
  'then',
];

/** Texts that cannot be stored, names that mean something to JavaScript, names given twice. */
export const texts: Family = (a) => {
  const event = a.event();
  const value = () => (a.random() < 0.3 ? a.pick(ESCAPES) : JSON.stringify(a.pick(TEXTS)));
  const attack = a.pick(['value', 'value', 'name', 'inner name', 'twice', 'pollution'] as const);
  switch (attack) {
    case 'value':
      return post(a, withRaw(event, MEMBERS[a.turn % MEMBERS.length]!, value()));
    case 'name':
      return post(a, `${JSON.stringify(event).slice(0, -1)},${JSON.stringify(a.pick(NAMES))}:${value()}}`);
    case 'inner name':
      return post(
        a,
        withRaw(
          event,
          'metadata',
          `{"a":[{${JSON.stringify(a.pick(NAMES))}:${value()}}],${JSON.stringify(a.pick(NAMES))}:${value()}}`,
        ),
      );
    case 'twice': {
      const name = a.pick(MEMBERS.filter((member) => !member.includes('.')));
      return post(
        a,
        `{${JSON.stringify(name)}:${value()},${JSON.stringify(event).slice(1, -1)},${JSON.stringify(name)}:${value()}}`,
      );
    }
    case 'pollution': {
      const poison = '{"isAdmin":true,"tenantId":"x","scopes":["admin"],"status":500,"toString":null}';
      const name = a.pick(['__proto__', 'constructor', 'metadata']);
      return post(
        a,
        `${JSON.stringify(event).slice(0, -1)},"${name}":{"__proto__":${poison},"constructor":{"prototype":${poison}}}}`,
      );
    }
  }
};
