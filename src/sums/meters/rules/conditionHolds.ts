import { JsonNumber } from '../../../model/json.ts';
import { compareDecimals, plainDecimal } from '../../../model/plainDecimal.ts';
import type { UsageEvent } from '../../../model/usageEvent.ts';
import { type Comparison, type Condition, comparisonOf, type Scalar } from '../definition/conditions.ts';
import { stepsOf } from '../definition/paths.ts';
import { readerOf } from './readPath.ts';
import { isPlainDouble, numberOf } from './values.ts';

/** Compiles a condition in its normal form, whose bound is a plain decimal string. */
export function holderOf(condition: Condition): (event: UsageEvent) => boolean {
  const read = readerOf(stepsOf(condition.path));
  const holds = testOf(condition);
  return (event) => holds(read(event));
}

type Test = (value: unknown) => boolean;

function testOf(condition: Condition): Test {
  if ('exists' in condition) {
    return condition.exists ? (value) => value !== undefined : (value) => value === undefined;
  }
  if ('equals' in condition) return isOneOf([condition.equals]);
  if ('in' in condition) return isOneOf(condition.in);
  const [comparison, bound] = comparisonOf(condition);
  return compares(comparison, String(bound));
}

/** Numbers by value, whatever they were written as; anything else by identity. Numbers equal numbers only. */
function isOneOf(scalars: readonly Scalar[]): Test {
  const primitives = new Set<unknown>(scalars.filter((scalar) => !(scalar instanceof JsonNumber)));
  const decimals = new Set(scalars.filter(isNumber).map((scalar) => plainDecimal(String(scalar))));
  // A double has one shortest decimal, and a JsonNumber in a condition is what no double holds.
  return (value) =>
    value instanceof JsonNumber ? decimals.has(plainDecimal(value.toString())) : primitives.has(value);
}

function isNumber(scalar: Scalar): boolean {
  return typeof scalar === 'number' || scalar instanceof JsonNumber;
}

const HOLDS: Record<Comparison, (order: number) => boolean> = {
  greaterThan: (order) => order > 0,
  greaterOrEqual: (order) => order >= 0,
  lessThan: (order) => order < 0,
  lessOrEqual: (order) => order <= 0,
};

function compares(comparison: Comparison, bound: string): Test {
  const holds = HOLDS[comparison];
  const nearest = Number(bound);
  return (value) => {
    // Two doubles that differ are in the order of the decimals that they are nearest to.
    if (typeof value === 'number' && value !== nearest && isPlainDouble(value)) return holds(value - nearest);
    const decimal = numberOf(value);
    return decimal !== null && holds(compareDecimals(decimal, bound));
  };
}
