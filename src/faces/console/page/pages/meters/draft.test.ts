import { expect, it } from 'vitest';
import { parseExact, writeJson } from '../../format/json.ts';
import { definitionOf, EMPTY } from './draft.ts';
import { isNumber, pathsOf, type SeenEvent } from './paths.ts';

const ID = '12345678901234567890';

it('asks for a number of an event with the digits that the event has', () => {
  const text = `[{"eventType":"x","metadata":{"id":${ID},"zone":"1","on":true}}]`;
  const seen = pathsOf(parseExact(text) as SeenEvent[]);
  expect(seen.map(({ example }) => [writeJson(example, 0), isNumber(example)])).toEqual([
    [ID, true],
    ['"1"', true],
    ['true', false],
  ]);
  const filter = seen.map(({ path, example }) => ({
    path,
    operator: 'equals',
    value: writeJson(example, 0),
  }));
  const { filter: conditions } = definitionOf({ ...EMPTY, filter }, 'UTC');
  expect(writeJson(conditions, 0)).toBe(
    `[{"path":"$.id","equals":${ID}},{"path":"$.zone","equals":"1"},{"path":"$.on","equals":true}]`,
  );
});

it('takes what is typed for a number, true, false or null, and anything else for a text', () => {
  const conditionOf = (operator: string, value: string) =>
    definitionOf({ ...EMPTY, filter: [{ path: '$.a', operator, value }] }, 'UTC').filter;
  expect(conditionOf('in', `1.50, eu ,"7", null,false`)).toEqual([
    { path: '$.a', in: [parseExact('1.50'), 'eu', '7', null, false] },
  ]);
  expect(conditionOf('lessThan', ID)).toEqual([{ path: '$.a', lessThan: ID }]);
  expect(conditionOf('exists', 'false')).toEqual([{ path: '$.a', exists: false }]);
});
