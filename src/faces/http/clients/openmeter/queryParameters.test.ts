import { describe, expect, it, test } from 'vitest';
import { readQuery, readUrlQuery } from './queryParameters.ts';

const DIMENSIONS = ['model', 'region'];
const read = (text: string) => readUrlQuery(new URLSearchParams(text), DIMENSIONS);

describe('a query by GET', () => {
  it('reads arrays that are repeated, and objects in brackets', () => {
    expect(
      read(
        'from=2026-01-01T00%3A00%3A00.000001Z&to=2026-01-02T00:00:00%2B00:00&windowSize=DAY&subject=a&subject=b&groupBy=model&filterGroupBy[region]=eu',
      ),
    ).toEqual({
      fromMicros: Date.UTC(2026, 0, 1) * 1_000 + 1,
      toMicros: Date.UTC(2026, 0, 2) * 1_000,
      windowSize: 'DAY',
      granularity: '1d',
      timeZone: 'UTC',
      bySubject: true,
      byCustomer: false,
      groupBy: ['model'],
      customers: ['a', 'b'],
      namedCustomers: [],
      filters: { region: ['eu'] },
      limit: null,
      cursor: undefined,
    });
  });

  it('takes an empty value of a filter for none, too', () => {
    expect(read('filterGroupBy[region]=').filters).toEqual({ region: ['', null] });
  });

  it('means those that are subjects and customers asked for', () => {
    expect(read('subject=a&subject=b&filterCustomerId=b&filterCustomerId=c').customers).toEqual(['b']);
  });

  test.each([
    'from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z',
    'from=2026-01-01T00:00:00Z&to=2026-01-01T00:00:00Z',
    'from=yesterday',
    'windowSize=SECOND',
    'windowSize=constructor',
    'groupBy=color',
    'groupBy=customer_id',
    'filterGroupBy[color]=x',
    'filterGroupBy[constructor]=x',
    'filterGroupBy[__proto__]=x',
    'subject=%00',
    'limit=0',
    'limit=x',
    'advancedMeterGroupByFilters={',
    'filterGroupBy[model]=x&advancedMeterGroupByFilters={"model":{"$eq":"x"}}',
    Array.from({ length: 101 }, (_, i) => `subject=${i}`).join('&'),
  ])('refuses %s', (text) => {
    expect(() => read(text)).toThrow(expect.objectContaining({ code: expect.stringMatching(/invalid/) }));
  });
});

describe('a query by POST', () => {
  it('takes filters by equality, those of one field together', () => {
    const filters = { model: { $in: ['x', 'y'], $eq: 'y' }, region: { $eq: 'eu' } };
    expect(readQuery({ advancedMeterGroupByFilters: filters }, DIMENSIONS).filters).toEqual({
      model: ['y'],
      region: ['eu'],
    });
    const like = { model: { $like: 'x%' } };
    expect(() => readQuery({ advancedMeterGroupByFilters: like }, DIMENSIONS)).toThrow(
      expect.objectContaining({ code: 'not_implemented' }),
    );
  });

  test.each([
    { subject: [5] },
    { filterGroupBy: ['x'] },
    { groupBy: { a: 1 } },
    { windowTimeZone: 5 },
    { limit: '5' },
  ])('refuses %j', (body) => {
    expect(() => readQuery(body, DIMENSIONS)).toThrow(expect.objectContaining({ code: 'invalid_request' }));
  });
});
