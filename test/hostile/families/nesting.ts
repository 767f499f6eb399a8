import { type Family, MEMBERS, post, withRaw } from '../hostileRequest.ts';

/** JSON without bottom, and bodies of very many small things. */
export const nesting: Family = (a) => {
  const levels = a.pick([31, 32, 33, 100, 1_000, 5_000, 20_000]);
  const [open, close] = a.pick([
    ['[', ']'],
    ['{"a":', '}'],
    ['[{"a":', '}]'],
  ] as const);
  const deep =
    open.repeat(levels) +
    (open.endsWith(':') ? '1' : '') +
    close.repeat(a.random() < 0.8 ? levels : levels - 1);
  const attack = a.pick(['whole', 'member', 'member', 'member', 'wide', 'many'] as const);
  if (attack === 'whole') return post(a, deep);
  if (attack === 'member') return post(a, withRaw(a.event(), a.pick(MEMBERS), deep));
  if (attack === 'wide') {
    const keys = Array.from({ length: a.pick([100, 5_000]) }, (_, i) => `"k${i}":${i}`).join(',');
    return post(a, a.pick([withRaw(a.event(), 'metadata', `{${keys}}`), `{${keys}}`]));
  }
  const many = a.pick(['0', '{}', '[]', 'null', '""']);
  return post(a, `[${Array.from({ length: a.pick([1_000, 10_001]) }, () => many).join(',')}]`);
};
