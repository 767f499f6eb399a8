import { MAX_DIMENSION_VALUE } from './values.ts';

/*
 * What values.ts says, as expressions: test/integration/sums/meterRules.test.ts holds the two equal. A value is jsonb,
 * null where there is none.
 */

/** What is below it, and above its negative, is below 10^20 once rounded. */
const OUT_OF_RANGE = '99999999999999999999.9999999999999999995';
const FRACTION_DIGITS = 18;
const DECIMAL = `'^[+-]?([0-9]+\\.?[0-9]*|\\.[0-9]+)([eE][+-]?[0-9]{1,4})?$'`;

/** numeric where a value is a number in range; else null. */
export function numberOfJson(json: string): string {
  const text = `(${json} #>> '{}')`;
  const number = `${text}::numeric`;
  return `case jsonb_typeof(${json})
    when 'number' then ${numberOfColumn(`(${json})::numeric`)}
    when 'string' then case when ${isDecimal(text)} then
      case when scale(trim_scale(${number})) <= ${FRACTION_DIGITS} and ${isInRange(number)} then ${number} end end
    end`;
}

/** The same of a column of numbers. */
export function numberOfColumn(column: string): string {
  return `case when ${isInRange(column)} then round(${column}, ${FRACTION_DIGITS}) end`;
}

/** Why there is no number. */
export function numberIgnored(json: string): string {
  return `case jsonb_typeof(${json}) when 'number' then 'out_of_range'
    when 'string' then case when ${isDecimal(`(${json} #>> '{}')`)} then 'out_of_range' else 'not_a_number' end
    else ${nothing(json, 'not_a_number')} end`;
}

function isInRange(number: string): string {
  return `${number} < ${OUT_OF_RANGE} and ${number} > -${OUT_OF_RANGE}`;
}

function isDecimal(text: string): string {
  return `length(${text}) <= 100 and ${text} ~ ${DECIMAL}`;
}

/** The text of a value that is a scalar, else null. */
export function textOfJson(json: string): string {
  return `case jsonb_typeof(${json}) when 'string' then ${json} #>> '{}'
    when 'number' then ${textOfNumber(`(${json})::numeric`)} when 'boolean' then ${json} #>> '{}' end`;
}

/** Of a numeric: without exponent and zeros that say nothing. */
export function textOfNumber(number: string): string {
  return `trim_scale(${number})::text`;
}

/** Why there is no text. */
export function textIgnored(json: string): string {
  return nothing(json, 'not_a_scalar');
}

/** A text as the value of a dimension. */
export function dimensionOfText(text: string): string {
  return `case when length(${text}) <= ${MAX_DIMENSION_VALUE} then ${text} end`;
}

/** What stands for a member of a set, as uuid. */
export function memberKeyOfText(text: string): string {
  return `encode(substring(sha256(convert_to(${text}, 'UTF8')) for 16), 'hex')::uuid`;
}

function nothing(json: string, otherwise: string): string {
  return `case when ${json} is null then 'missing' when jsonb_typeof(${json}) = 'null' then 'null' else '${otherwise}' end`;
}
