import { expect, it } from 'vitest';
import { csvPrices } from './csvPrices.ts';

it('reads prices as they are posted, and leaves out what is empty', () => {
  const { prices, faults } = csvPrices(
    '\u{feff}model,match,provider,currency,effectiveFrom,effectiveTo,per,input,output,call\r\n' +
      'gpt-4o,,openai,USD,2026-11-01T00:00:00Z,,million,2.50,10,0.1\r\n\r\n"a ""b"",\r\nc",prefix,,EUR,,,,,,1\n',
  );
  expect(faults).toEqual([]);
  expect(prices).toMatchObject([
    {
      model: 'gpt-4o',
      match: 'exact',
      provider: 'openai',
      toMicros: null,
      unitPrices: { input: '0.0000025', output: '0.00001', call: '0.1' },
    },
    {
      model: 'a "b",\r\nc',
      match: 'prefix',
      provider: null,
      currency: 'EUR',
      fromMicros: null,
      unitPrices: { call: '1' },
    },
  ]);
  expect(prices[0]!.fromMicros).toBe(Date.UTC(2026, 10, 1) * 1_000);
});

it('tells every fault with its line', () => {
  const { faults } = csvPrices('model,currency,input\n\nm,USD,-1\nm,,1\nm,USD\n"m"x,USD,1\nm,USD,"1');
  expect(faults).toEqual([
    'line 3: unitPrices/input must not be negative (negative)',
    'line 4: currency is required: three letters, as in USD (required)',
    'line 5: has 2 fields, the header 3',
    'line 6: text behind a closing quote',
    'line 7: a quoted field is open at the end of the file',
  ]);
  expect(csvPrices('model,cost\n').faults).toEqual(['line 1: there is no column cost']);
  expect(csvPrices('model,currency,input,input\nm,USD,1,2\n').faults).toEqual([
    'line 1: there are two columns input',
  ]);
  expect(csvPrices(' \n').faults).toEqual(['the file is empty: it needs a header line']);
});
