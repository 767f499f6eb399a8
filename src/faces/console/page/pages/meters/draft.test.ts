import { expect, it } from 'vitest';
import { parseExact, writeJson } from '../../format/json.ts';
import { type Draft, definitionOf, EMPTY, measured } from './draft.ts';
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

it('goes by what is measured, path after path, unless an aggregation was chosen', () => {
  const text = { path: '$.region', example: 'eu' };
  const number = { path: '$.gb', example: 1.5 };
  const after = (draft: Draft, path: typeof text | typeof number) => ({ ...draft, ...measured(draft, path) });
  const first = after({ ...EMPTY, dimensions: [{ name: 'gb', path: '$.gb' }] }, text);
  expect(first).toMatchObject({ value: '$.region', aggregation: 'uniqueCount' });
  expect(after(first, number)).toMatchObject({ value: '$.gb', aggregation: 'sum', dimensions: [] });
  const chosen = { ...first, aggregation: 'max', chosen: true };
  expect(after(after(chosen, number), text).aggregation).toBe('max');
  // A number of events has no value: it gives way.
  expect(after({ ...chosen, aggregation: 'count' }, number).aggregation).toBe('sum');
});
