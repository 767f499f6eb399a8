import { checkNewPrice } from '../../sums/costs/catalog/newPrice.ts';
import type { PriceTerms } from '../../sums/costs/catalog/price.ts';
import { PRICED } from '../../sums/costs/rating/unitPrices.ts';
import { CsvRecord } from './csvRecord.ts';

const TERMS = ['model', 'match', 'provider', 'currency', 'effectiveFrom', 'effectiveTo', 'per'];

/**
 * Prices from CSV (RFC 4180) with a header line: `model`, `currency`, and any of `match`, `provider`, `effectiveFrom`,
 * `effectiveTo`, `per` and the unit prices, each as in `POST /v1/prices`. An empty field is left out.
 *
 * @returns the prices, or every fault with its line.
 */
export function csvPrices(text: string): { prices: PriceTerms[]; faults: string[] } {
  const faults: string[] = [];
  const prices: PriceTerms[] = [];
  let header: string[] | null = null;
  const record = new CsvRecord(',');
  let began = 0;
  for (const [i, withEnd] of text
    .replace(/^\u{feff}/u, '')
    .split('\n')
    .entries()) {
    const line = withEnd.endsWith('\r') ? withEnd.slice(0, -1) : withEnd;
    if (began === 0) {
      if (line.trim() === '') continue;
      began = i + 1;
    }
    const state = record.feed(line, withEnd.endsWith('\r') ? '\r\n' : '\n');
    if (state === 'more') continue;
    const { fields } = record;
    const at = `line ${began}`;
    began = 0;
    if (state === 'invalid') faults.push(`${at}: text behind a closing quote`);
    else if (header === null) {
      header = fields.map((name) => name.trim());
      const known: readonly string[] = [...TERMS, ...PRICED];
      for (const [i, name] of header.entries()) {
        if (!known.includes(name)) faults.push(`${at}: there is no column ${name}`);
        else if (header.indexOf(name) < i) faults.push(`${at}: there are two columns ${name}`);
      }
    } else if (fields.length !== header.length) {
      faults.push(`${at}: has ${fields.length} fields, the header ${header.length}`);
    } else {
      const price = checkNewPrice(priceOf(header, fields), (pointer, code, message) =>
        faults.push(`${at}: ${pointer.slice(1)} ${message} (${code})`),
      );
      if (price) prices.push(price);
    }
  }
  if (began !== 0) faults.push(`line ${began}: a quoted field is open at the end of the file`);
  if (header === null) faults.push('the file is empty: it needs a header line');
  return { prices, faults };
}

function priceOf(header: readonly string[], fields: readonly string[]): Record<string, unknown> {
  const given = header
    .map((name, i) => [name, fields[i]!.trim()] as const)
    .filter(([, field]) => field !== '');
  const of = (names: readonly string[]) => Object.fromEntries(given.filter(([name]) => names.includes(name)));
  return { ...of(TERMS), unitPrices: of(PRICED) };
}
