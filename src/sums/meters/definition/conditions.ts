import { parseDecimal } from '../../../model/decimal.ts';
import { JsonNumber, jsonNumber, stringifyJson } from '../../../model/json.ts';
import { digitsOf, plainDecimal } from '../../../model/plainDecimal.ts';
import { isStorableText } from '../../../model/text.ts';
import { pointerTo, type TellFault } from './definitionFault.ts';
import { checkPath, normalPath } from './paths.ts';

/** A JSON value without parts. A number that no double holds is a JsonNumber. */
export type Scalar = string | number | JsonNumber | boolean | null;

/** What a value is compared with by size. */
export type Bound = number | JsonNumber | string;

/** What must hold of the value at a path. Where there is none, only `exists: false` holds. */
export type Condition = { path: string } & (
  | { equals: Scalar }
  | { in: Scalar[] }
  | { exists: boolean }
  | { greaterThan: Bound }
  | { greaterOrEqual: Bound }
  | { lessThan: Bound }
  | { lessOrEqual: Bound }
);

/** Those that compare by size, by the rule for numbers: what counts as no number does not hold. */
export const COMPARISONS = ['greaterThan', 'greaterOrEqual', 'lessThan', 'lessOrEqual'] as const;
export type Comparison = (typeof COMPARISONS)[number];
/** The words that a condition may have beside its path: exactly one of them. */
export const OPERATORS = ['equals', 'in', 'exists', ...COMPARISONS] as const;

/** Conditions of one filter. */
export const MAX_CONDITIONS = 20;
/** Values of one `in`. */
const MAX_CHOICES = 100;
/** Longest text that a value is compared with, in UTF-16 code units. */
const MAX_TEXT = 1_024;
/** Digits before the point and after it that a number in an event may have. */
const MAX_DIGITS = 1_000;

/** Checks what a filter was sent as, a list of conditions; tells each fault by its pointer into the definition. */
export function checkFilter(input: unknown, pointer: string, tell: TellFault): Condition[] {
  if (!Array.isArray(input)) {
    tell(pointer, 'type_invalid', 'must be a list of conditions');
    return [];
  }
  if (input.length > MAX_CONDITIONS) {
    tell(pointer, 'too_many', `may hold at most ${MAX_CONDITIONS} conditions`);
    return [];
  }
  for (const [i, condition] of input.entries()) checkCondition(condition, pointer + pointerTo(i), tell);
  return input as Condition[];
}

function checkCondition(input: unknown, pointer: string, tell: TellFault): void {
  if (typeof input !== 'object' || input === null || Array.isArray(input) || input instanceof JsonNumber) {
    tell(pointer, 'type_invalid', 'must be an object with a path and one operator');
    return;
  }
  const given = Object.entries(input).filter(([, value]) => value !== undefined);
  const operators: [string, unknown][] = [];
  for (const [name, value] of given) {
    if ((OPERATORS as readonly string[]).includes(name)) operators.push([name, value]);
    else if (name !== 'path') tell(pointer + pointerTo(name), 'unknown_field', 'is no part of a condition');
  }
  checkPath((input as { path?: unknown }).path, `${pointer}/path`, tell);
  const [first, second] = operators;
  if (!first) tell(pointer, 'operator_required', `must have one of ${OPERATORS.join(', ')}`);
  else if (second) tell(pointer + pointerTo(second[0]), 'operator_repeated', `${first[0]} is given already`);
  else checkOperand(first[0] as (typeof OPERATORS)[number], first[1], pointer + pointerTo(first[0]), tell);
}

function checkOperand(
  operator: (typeof OPERATORS)[number],
  operand: unknown,
  pointer: string,
  tell: TellFault,
): void {
  switch (operator) {
    case 'exists':
      if (typeof operand !== 'boolean') tell(pointer, 'type_invalid', 'must be true or false');
      return;
    case 'equals':
      checkScalar(operand, pointer, tell);
      return;
    case 'in':
      checkChoices(operand, pointer, tell);
      return;
    default:
      if (boundOf(operand) === null) {
        tell(
          pointer,
          'value_invalid',
          'must be a number or a decimal string of at most 38 digits, 18 of them after the point',
        );
      }
  }
}

function checkChoices(operand: unknown, pointer: string, tell: TellFault): void {
  if (!Array.isArray(operand) || operand.length === 0) {
    tell(pointer, 'type_invalid', 'must be a list of at least one value');
  } else if (operand.length > MAX_CHOICES) {
    tell(pointer, 'too_many', `may hold at most ${MAX_CHOICES} values`);
  } else for (const [i, choice] of operand.entries()) checkScalar(choice, pointer + pointerTo(i), tell);
}

function checkScalar(value: unknown, pointer: string, tell: TellFault): void {
  if (typeof value === 'string') {
    if (value.length > MAX_TEXT) tell(pointer, 'too_long', `may have at most ${MAX_TEXT} characters`);
    else if (!isStorableText(value)) {
      tell(pointer, 'text_invalid', 'must not contain NUL or unpaired surrogates');
    }
  } else if (typeof value === 'number' || value instanceof JsonNumber) {
    const digits = Number.isFinite(value) || typeof value === 'object' ? digitsOf(String(value)) : undefined;
    if (!digits || digits.whole > MAX_DIGITS || digits.fraction > MAX_DIGITS) {
      tell(pointer, 'out_of_range', `may have at most ${MAX_DIGITS} digits before the point and after it`);
    }
  } else if (typeof value !== 'boolean' && value !== null) {
    tell(pointer, 'type_invalid', 'must be a string, a number, true, false or null');
  }
}

function boundOf(operand: unknown): string | null {
  const isBound = typeof operand === 'string' || typeof operand === 'number' || operand instanceof JsonNumber;
  return isBound ? parseDecimal(String(operand)) : null;
}

/**
 * The conditions in one form, whatever they were sent as: equal ones, equal JSON. Each once, in the order of their JSON;
 * numbers to be equal to as doubles where those hold them, bounds as plain decimal strings.
 *
 * @param filter as `checkFilter` has found it without a fault.
 */
export function normalFilter(filter: readonly Condition[]): Condition[] {
  return distinct(filter.map(normalCondition));
}

function normalCondition(condition: Condition): Condition {
  const path = normalPath(condition.path);
  if ('equals' in condition) return { path, equals: normalScalar(condition.equals) };
  if ('in' in condition) {
    const choices = distinct(condition.in.map(normalScalar));
    return choices.length === 1 ? { path, equals: choices[0]! } : { path, in: choices };
  }
  if ('exists' in condition) return { path, exists: condition.exists };
  const [comparison, bound] = comparisonOf(condition);
  return { path, [comparison]: boundOf(bound)! } as Condition;
}

/** Of a condition that compares by size: how, and with what. */
export function comparisonOf(condition: Condition): [Comparison, Bound] {
  for (const comparison of COMPARISONS) {
    const bound = (condition as { [comparison in Comparison]?: Bound })[comparison];
    if (bound !== undefined) return [comparison, bound];
  }
  throw new Error('a condition without operator');
}

function normalScalar(scalar: Scalar): Scalar {
  const isNumber = typeof scalar === 'number' || scalar instanceof JsonNumber;
  return isNumber ? jsonNumber(plainDecimal(String(scalar))) : scalar;
}

function distinct<T>(values: readonly T[]): T[] {
  const byText = new Map(values.map((value) => [stringifyJson(value), value]));
  return [...byText].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, value]) => value);
}
