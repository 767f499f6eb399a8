import { type EventFault, TidemarkError } from '../../../model/errors.ts';
import { JsonNumber } from '../../../model/json.ts';
import { isStorableText } from '../../../model/text.ts';
import { parseTimestamp, timestampFault } from '../../../model/timestamp.ts';
import { MAX_PROVIDER } from '../../meters/definition/usageSeries.ts';
import { PRICED, type Priced, type PriceFault, parsePrice } from '../rating/unitPrices.ts';
import { CURRENCY, MATCHES, type Match, type PriceTerms } from './price.ts';

/** A price that is to be, checked. */
export interface NewPrice extends PriceTerms {
  /** The id of the price that it takes the place of. */
  supersedes: string | null;
}

/** Prices of one request. */
export const MOST_PRICES_SENT = 1_000;
const MAX_MODEL = 256;
const MEMBERS = [
  ...['model', 'match', 'provider', 'currency', 'effectiveFrom', 'effectiveTo'],
  ...['unitPrices', 'per', 'supersedes'],
];
/** What unit prices may be for, besides one token; that of a call is for one. */
export const PER = { token: 0, thousand: 3, million: 6 } as const;
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

type Tell = (pointer: string, code: string, message: string) => void;

/**
 * Reads what is sent to make prices: one, or a list. Parsed so that long numbers are JsonNumbers.
 *
 * @throws {TidemarkError} `invalid_request` with every fault; `price_overlaps` where two of them do.
 */
export function requireNewPrices(input: unknown): NewPrice[] {
  const list = Array.isArray(input) ? input : [input];
  if (list.length === 0 || list.length > MOST_PRICES_SENT) {
    throw invalidPrices([
      { index: 0, pointer: '', code: 'too_many', message: `send 1 to ${MOST_PRICES_SENT} prices` },
    ]);
  }
  const faults: EventFault[] = [];
  const prices = list.map((one: unknown, index) =>
    checkNewPrice(one, (pointer, code, message) => faults.push({ index, pointer, code, message })),
  );
  if (faults.length > 0) throw invalidPrices(faults);
  const overlaps = overlapsAmong(prices as NewPrice[]);
  if (overlaps.length > 0) throw overlapping(overlaps);
  return prices as NewPrice[];
}

/** @returns null where it has told a fault. */
export function checkNewPrice(input: unknown, tell: Tell): NewPrice | null {
  if (!isObject(input)) {
    tell('', 'type_invalid', 'must be an object');
    return null;
  }
  let sound = true;
  const fault: Tell = (pointer, code, message) => {
    sound = false;
    tell(pointer, code, message);
  };
  for (const name of Object.keys(input)) {
    if (!MEMBERS.includes(name)) fault(`/${escaped(name)}`, 'unknown_field', 'is no part of a price');
  }
  const { model, match, provider, currency, effectiveFrom, effectiveTo, per, supersedes } = input;
  if (model == null) fault('/model', 'required', 'is required');
  else checkText(model, '/model', MAX_MODEL, fault);
  if (match != null && !(MATCHES as readonly unknown[]).includes(match)) {
    fault('/match', 'not_allowed', `must be one of ${MATCHES.join(', ')}`);
  }
  if (provider != null) checkText(provider, '/provider', MAX_PROVIDER, fault);
  if (currency == null) fault('/currency', 'required', 'is required: three letters, as in USD');
  else if (typeof currency !== 'string' || !CURRENCY.test(currency)) {
    fault('/currency', 'currency_invalid', 'must be a code of ISO 4217: three capital letters, as in USD');
  }
  const fromMicros = momentOf(effectiveFrom, '/effectiveFrom', fault);
  const toMicros = momentOf(effectiveTo, '/effectiveTo', fault);
  if (fromMicros !== null && toMicros !== null && fromMicros >= toMicros) {
    fault('/effectiveTo', 'range_invalid', 'must be after effectiveFrom');
  }
  if (per != null && !(typeof per === 'string' && Object.hasOwn(PER, per))) {
    fault('/per', 'not_allowed', `must be one of ${Object.keys(PER).join(', ')}`);
  }
  if (supersedes != null && !(typeof supersedes === 'string' && UUID.test(supersedes))) {
    fault('/supersedes', 'type_invalid', 'must be the id of a price');
  }
  const power = PER[(per ?? 'token') as keyof typeof PER] ?? 0;
  const unitPrices = checkUnits(input.unitPrices, power, fault);
  if (!sound) return null;
  return {
    model: model as string,
    match: (match as Match | null | undefined) ?? 'exact',
    provider: (provider as string | null | undefined) ?? null,
    currency: currency as string,
    fromMicros,
    toMicros,
    unitPrices,
    supersedes: (supersedes as string | null | undefined)?.toLowerCase() ?? null,
  };
}

const PRICE_FAULTS: Record<PriceFault, string> = {
  value_invalid: 'must be a number, or a decimal as text',
  negative: 'must not be negative',
  too_many_digits: 'may have 12 digits before the point and 24 after it, per token',
};

function checkUnits(input: unknown, power: number, fault: Tell): PriceTerms['unitPrices'] {
  const prices: PriceTerms['unitPrices'] = {};
  if (input == null) {
    fault('/unitPrices', 'required', `is required: at least one of ${PRICED.join(', ')}`);
    return prices;
  }
  if (!isObject(input)) {
    fault('/unitPrices', 'type_invalid', 'must be an object');
    return prices;
  }
  let given = 0;
  for (const [name, value] of Object.entries(input)) {
    const pointer = `/unitPrices/${escaped(name)}`;
    if (!(PRICED as readonly string[]).includes(name)) {
      fault(pointer, 'unknown_field', `must be one of ${PRICED.join(', ')}`);
      continue;
    }
    if (value == null) continue;
    given++;
    const isNumber = typeof value === 'number' || typeof value === 'string' || value instanceof JsonNumber;
    const parsed = isNumber
      ? parsePrice(String(value), name === 'call' ? 0 : power)
      : { fault: 'value_invalid' as const };
    if ('fault' in parsed) fault(pointer, parsed.fault, PRICE_FAULTS[parsed.fault]);
    else prices[name as Priced] = parsed.price;
  }
  if (given === 0) fault('/unitPrices', 'required', `must have at least one of ${PRICED.join(', ')}`);
  return prices;
}

function checkText(value: unknown, pointer: string, most: number, fault: Tell): void {
  if (typeof value !== 'string') fault(pointer, 'type_invalid', 'must be a string');
  else if (value === '') fault(pointer, 'too_short', 'must not be empty');
  else if (value.length > most) fault(pointer, 'too_long', `may have at most ${most} characters`);
  else if (!isStorableText(value)) {
    fault(pointer, 'text_invalid', 'must not contain NUL or unpaired surrogates');
  }
}

/** @returns µs since the epoch; null where there is none, or a fault. */
export function momentOf(value: unknown, pointer: string, fault: Tell): number | null {
  if (value == null) return null;
  if (typeof value !== 'string') fault(pointer, 'type_invalid', 'must be an RFC 3339 date-time');
  else {
    const micros = parseTimestamp(value);
    if (Number.isNaN(micros)) fault(pointer, 'timestamp_invalid', timestampFault(value));
    else if (!Number.isSafeInteger(micros))
      fault(pointer, 'out_of_range', 'must be in the years 1685 to 2254');
    else return micros;
  }
  return null;
}

/** Faults of those that are in force while another one of the list is, of the same model, match, provider and currency. */
export function overlapsAmong(prices: readonly NewPrice[]): EventFault[] {
  const kinds = new Map<string, { from: number; to: number; index: number }[]>();
  for (const [index, { model, match, provider, currency, fromMicros, toMicros }] of prices.entries()) {
    const key = JSON.stringify([model, match, provider, currency]);
    const others = kinds.get(key) ?? [];
    kinds.set(key, others);
    others.push({
      from: fromMicros ?? Number.NEGATIVE_INFINITY,
      to: toMicros ?? Number.POSITIVE_INFINITY,
      index,
    });
  }
  const faults: EventFault[] = [];
  for (const spans of kinds.values()) {
    spans.sort((a, b) => a.from - b.from);
    let longest: (typeof spans)[number] | undefined; // of those that begin before
    for (const span of spans) {
      if (longest && span.from < longest.to) {
        faults.push(overlapFault(span.index, `item ${longest.index}`));
      }
      if (!longest || span.to > longest.to) longest = span;
    }
  }
  return faults;
}

export function overlapFault(index: number, other: string): EventFault {
  const message = `is in force while ${other} is, of the same model, match, provider and currency: say supersedes, or end it before`;
  return { index, pointer: '/effectiveFrom', code: 'price_overlaps', message };
}

export function overlapping(errors: EventFault[]): TidemarkError {
  return new TidemarkError(
    'price_overlaps',
    'two prices of the same would be in force at a time; nothing was stored',
    {
      errors,
    },
  );
}

/** @throws {TidemarkError} `invalid_request`, to be thrown. */
export function invalidPrices(errors: EventFault[]): TidemarkError {
  const { pointer, message } = errors[0]!;
  return new TidemarkError('invalid_request', `${pointer.slice(1) || 'the request'}: ${message}`, { errors });
}

function escaped(name: string): string {
  return name.replaceAll('~', '~0').replaceAll('/', '~1');
}

function isObject(value: unknown): value is Record<string, unknown> {
  return (
    typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof JsonNumber)
  );
}
