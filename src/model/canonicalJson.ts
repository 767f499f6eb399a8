import { JsonNumber } from './json.ts';
import { plainDecimal } from './plainDecimal.ts';

/**
 * The one text of a JSON value, whoever writes it: RFC 8785 (JSON Canonicalization Scheme), members by the UTF-16 units of
 * their names, no white space, numbers as ECMAScript writes doubles. A number that no double holds, which RFC 8785 has
 * none of, is a plain decimal of all its digits, without exponent or redundant zeros: equal numbers have equal texts.
 *
 * @param value as `parseJson` returns it. Members that are undefined are left out.
 */
export function canonicalJson(value: unknown): string {
  if (value instanceof JsonNumber) return plainDecimal(value.toString());
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  const object = value as Record<string, unknown>;
  const members = Object.keys(object)
    .filter((name) => object[name] !== undefined)
    .sort() // by UTF-16 units, as the standard has it
    .map((name) => `${JSON.stringify(name)}:${canonicalJson(object[name])}`);
  return `{${members.join(',')}}`;
}
