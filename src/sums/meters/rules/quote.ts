import { sqlLiteral } from '../../../ground/db/sqlLiteral.ts';
import type { SqlParameters } from '../../../ground/db/sqlParameters.ts';

/** Types of the values that stand in the expressions of a series. */
export type SqlType = 'text' | 'jsonb' | 'jsonpath' | 'numeric' | 'timestamptz';

/** Puts a value into SQL. */
export type Quote = (value: string, type: SqlType) => string;

/** As literals, for SQL that takes no parameters. */
export const literals: Quote = (value, type) => `${sqlLiteral(value)}::${type}`;

/** As parameters, which it adds to those that there are. */
export function parametersInto(parameters: SqlParameters): Quote {
  return (value, type) => `${parameters.add(value)}::${type}`;
}
