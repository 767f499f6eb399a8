import { stringifyJson } from '../../../model/json.ts';
import { type Comparison, type Condition, comparisonOf, type Scalar } from '../definition/conditions.ts';
import { stepsOf } from '../definition/paths.ts';
import type { Quote } from './quote.ts';
import { jsonOf, sourceOf } from './sqlOfPath.ts';
import { numberOfColumn, numberOfJson } from './sqlOfValues.ts';

const OPERATORS: Record<Comparison, string> = {
  greaterThan: '>',
  greaterOrEqual: '>=',
  lessThan: '<',
  lessOrEqual: '<=',
};

/** A condition in its normal form, over `event e`: true or false, never null. */
export function sqlOfCondition(condition: Condition, quote: Quote): string {
  const source = sourceOf(stepsOf(condition.path), quote);
  const scalar = (value: Scalar) => quote(stringifyJson(value), 'jsonb');
  if ('exists' in condition) return `${jsonOf(source)} is ${condition.exists ? 'not ' : ''}null`;
  if ('equals' in condition) return `(${jsonOf(source)} = ${scalar(condition.equals)}) is true`;
  if ('in' in condition) return `(${jsonOf(source)} in (${condition.in.map(scalar).join(', ')})) is true`;
  const [comparison, bound] = comparisonOf(condition);
  const isHeld = `${OPERATORS[comparison]} ${quote(String(bound), 'numeric')}`;
  if (source.column?.type === 'number' && source.json === null) {
    return `(${numberOfColumn(source.column.expression)} ${isHeld}) is true`;
  }
  // The path several times: a subquery in which it stands once costs more than that.
  return `(${numberOfJson(`(${jsonOf(source)})`)} ${isHeld}) is true`;
}
