import type { PathSteps } from '../definition/singularPath.ts';
import { COLUMN_FIRST, type ColumnFirst, isColumnFirst, SESSION_ID } from './fields.ts';
import type { Quote } from './quote.ts';

/** Where PostgreSQL finds what an event's document has at a path. Expressions over `event e`. */
export interface SqlSource {
  /** What is there if it is not null: a column, as number (numeric) or as text. */
  column: { type: 'number' | 'text'; expression: string } | null;
  /** jsonb that counts where the column is null. Null: nothing. */
  json: string | null;
}

/** As `readerOf` finds it: names apply to objects only, indexes to arrays only. */
export function sourceOf(steps: PathSteps, quote: Quote): SqlSource {
  const [first, ...rest] = steps;
  if (typeof first !== 'string') return { column: null, json: null };
  const json = jsonAt(steps, quote);
  if (isColumnFirst(first)) {
    const column = `e.${COLUMN_FIRST[first]}`;
    if (rest.length > 0) return { column: null, json: `case when ${column} is null then ${json} end` };
    return { column: columnOf(first), json };
  }
  if (first === SESSION_ID && rest.length === 0) {
    return { column: null, json: `coalesce(${json}, to_jsonb(e.reference))` };
  }
  return { column: null, json };
}

/** The same as jsonb in one expression. */
export function jsonOf({ column, json }: SqlSource): string {
  if (!column) return json ?? 'null::jsonb';
  const ofColumn = `to_jsonb(${column.expression})`;
  return json === null ? ofColumn : `coalesce(${ofColumn}, ${json})`;
}

function columnOf(name: ColumnFirst): SqlSource['column'] {
  const column = `e.${COLUMN_FIRST[name]}`;
  switch (name) {
    case 'value':
      return { type: 'number', expression: column };
    case 'latencyMs':
      // By its text: a cast to numeric keeps only 15 digits of a double.
      return { type: 'number', expression: `${column}::text::numeric` };
    case 'tokens':
    case 'inputTokens':
    case 'outputTokens':
      return { type: 'number', expression: `${column}::numeric` };
    default:
      return { type: 'text', expression: column };
  }
}

/**
 * `->` with a name applies to objects only, but with an index also to scalars; `#>` takes a name of digits for an index,
 * and an index for a name. Only jsonpath in its strict mode has both rules, at about half of their speed.
 */
function jsonAt(steps: PathSteps, quote: Quote): string {
  if (steps.some((step) => typeof step === 'number')) {
    return `jsonb_path_query_first(e.metadata, ${quote(strictPath(steps), 'jsonpath')}, '{}', true)`;
  }
  const names = steps.map((name) => quote(String(name), 'text'));
  return names.length > 1 && !steps.some((name) => isLikeIndex(String(name)))
    ? `e.metadata #> array[${names.join(', ')}]`
    : `e.metadata -> ${names.join(' -> ')}`;
}

/** Whether `#>` may take a name for an index: strtol skips white space before one. */
function isLikeIndex(name: string): boolean {
  return /^\s*[+-]?\d/.test(name);
}

function strictPath(steps: PathSteps): string {
  const accessors = steps.map((step) => {
    if (typeof step === 'string') return `.${JSON.stringify(step)}`;
    return step < 0 ? `[last - ${-1 - step}]` : `[${step}]`;
  });
  return `strict $${accessors.join('')}`;
}
