import { expect, it } from 'vitest';
import { formatPath, parseSingularPath } from './singularPath.ts';

const stepsOf = (text: string) => {
  const parsed = parseSingularPath(text);
  return 'steps' in parsed ? parsed.steps : parsed.fault;
};

it.each<[string, (string | number)[]]>([
  ['$', []],
  ['$.size', ['size']],
  ['$.a.b_2._c', ['a', 'b_2', '_c']],
  ["$['a']", ['a']],
  ['$["a"]', ['a']],
  ["$['']", ['']],
  ["$['a b']['$.x']", ['a b', '$.x']],
  ['$.a[0]', ['a', 0]],
  ['$[-1]', [-1]],
  ['$[9007199254740991]', [Number.MAX_SAFE_INTEGER]],
  ['$[-9007199254740991]', [-Number.MAX_SAFE_INTEGER]],
  ["$['0']", ['0']],
  ['$.größe.值.😀', ['größe', '值', '😀']],
  ['$ .a\t[ 0 ]\r\n[ "b" ]', ['a', 0, 'b']],
  [`$['it\\'s "so"']`, [`it's "so"`]],
  [`$["it's \\"so\\""]`, [`it's "so"`]],
  ['$["\\b\\f\\n\\r\\t\\/\\\\"]', ['\b\f\n\r\t/\\']],
  ['$["\\u00e9\\u00E9"]', ['éé']],
  ['$["\\uD83D\\ude00"]', ['😀']],
  ['$["\\u0000"]', ['\0']],
  ["$['\u007f']", ['\u007f']],
  ['$.__proto__', ['__proto__']],
])('%s', (text, steps) => {
  expect(stepsOf(text)).toEqual(steps);
});

it.each([
  ['', 'must begin with $, at offset 0'],
  ['size', 'must begin with $, at offset 0'],
  [' $.a', 'must begin with $, at offset 0'],
  ['@.a', 'must begin with $, at offset 0'],
  ['$.a ', 'must not end with white space, at offset 3'],
  ['$a', 'expected . or [, at offset 1'],
  ['$.a]', 'expected . or [, at offset 3'],
  ['$.', "expected a name of letters, digits and _, or ['name'], at offset 2"],
  ['$. a', "expected a name of letters, digits and _, or ['name'], at offset 2"],
  ['$.1a', "expected a name of letters, digits and _, or ['name'], at offset 2"],
  ['$.a-b', 'expected . or [, at offset 3'],
  ['$..a', '.. selects more than one value, at offset 1'],
  ['$.a..b', '.. selects more than one value, at offset 3'],
  ['$.*', '* selects more than one value, at offset 2'],
  ['$[*]', '* selects more than one value, at offset 2'],
  ['$[?@.a]', '? selects more than one value, at offset 2'],
  ["$['a','b']", ', selects more than one value, at offset 5'],
  ['$[0,1]', ', selects more than one value, at offset 3'],
  ['$[0:1]', ': selects more than one value, at offset 3'],
  ['$[:1]', ': selects more than one value, at offset 2'],
  ['$[]', 'expected a quoted name or an index, at offset 2'],
  ['$[a]', 'expected a quoted name or an index, at offset 2'],
  ['$[-]', 'expected a quoted name or an index, at offset 2'],
  ['$[+1]', 'expected a quoted name or an index, at offset 2'],
  ['$[01]', 'an index has no leading zeros and no -0, at offset 2'],
  ['$[-01]', 'an index has no leading zeros and no -0, at offset 2'],
  ['$[-0]', 'an index has no leading zeros and no -0, at offset 2'],
  ['$[1.0]', 'expected ], at offset 3'],
  ['$[1e2]', 'expected ], at offset 3'],
  ['$[9007199254740992]', 'an index is at most 9007199254740991, at offset 2'],
  ['$[-9007199254740992]', 'an index is at most 9007199254740991, at offset 2'],
  ['$[0', 'expected ], at offset 3'],
  ['$[', 'expected a quoted name or an index, at offset 2'],
  ["$['a", "' is never closed, at offset 2"],
  ['$["a\']', '" is never closed, at offset 2'],
  ["$['a\\", 'is no escape, at offset 4'],
  ["$['a\\x']", 'is no escape, at offset 4'],
  ["$['\\\"']", 'is no escape, at offset 3'],
  ['$["\\\'"]', 'is no escape, at offset 3'],
  ["$['\\constructor']", 'is no escape, at offset 3'],
  ['$["\\u12"]', 'expected four hex digits after \\u, at offset 3'],
  ['$["\\U0041"]', 'is no escape, at offset 3'],
  ['$["\\ud83d"]', 'a high surrogate without a low one, at offset 3'],
  ['$["\\ud83d\\u0041"]', 'a high surrogate without a low one, at offset 3'],
  ['$["\\ude00"]', 'a low surrogate without a high one, at offset 3'],
  ['$["a\nb"]', 'a control character must be escaped, at offset 4'],
  ['$.\ud83d', 'must not contain unpaired surrogates'],
])('%j is refused', (text, fault) => {
  expect(stepsOf(text)).toBe(fault);
});

it.each<[(string | number)[], string]>([
  [[], '$'],
  [['a', 0, -1], "$['a'][0][-1]"],
  [["it's", 'a"b', '\\'], `$['it\\'s']['a"b']['\\\\']`],
  [['\b\t\n\f\r\u0001\u001f\u007f', 'é😀'], "$['\\b\\t\\n\\f\\r\\u0001\\u001f\u007f']['é😀']"],
])('%j is written as %s, and read back', (steps, text) => {
  expect(formatPath(steps)).toBe(text);
  expect(stepsOf(text)).toEqual(steps);
});
