import { decimalOf } from '../../ground/db/numbers.ts';
import type { Queryable } from '../../ground/db/queryable.ts';
import type { SqlParameters } from '../../ground/db/sqlParameters.ts';

/** What of a ranking is asked for. */
export interface RankingQuery {
  /** [from, to) in ms since the epoch. */
  from: number;
  to: number;
  /** Null: all. */
  customers: readonly string[] | null;
  /** What is compared with: how many are above it is told. A plain decimal. */
  threshold?: string | undefined;
  /** So many of the first. */
  limit: number;
}

/** Customers by what they have, the greatest first, by id where two have the same. */
export interface Ranking {
  /** How many have anything in the range, those behind the first ones too. */
  customers: number;
  /** How many of them are above the threshold; 0 where there is none. */
  above: number;
  /** What all of them have together. Exact decimal. */
  total: string;
  /** The first of them; exact decimals. */
  data: { customerId: string; value: string }[];
}

interface Row {
  customer_id: string;
  value: string;
  customers: string;
  above: string;
  total: string;
}

/**
 * Ranks what a statement reads, in the database: no more than the first rows leave it.
 *
 * @param rows a query with `customer_id` and `value`, a row a customer.
 * @param having what stands before it, such as a `with`.
 */
export async function rank(
  db: Queryable,
  { having = '', rows }: { having?: string; rows: string },
  { threshold, limit }: Pick<RankingQuery, 'threshold' | 'limit'>,
  parameters: SqlParameters,
): Promise<Ranking> {
  const isAbove = threshold === undefined ? 'false' : `value > ${parameters.add(threshold)}::numeric`;
  const { rows: found } = await db.query<Row>({
    text: `${having} select customer_id, value::text as value, count(*) over () as customers,
         count(*) filter (where ${isAbove}) over () as above, (sum(value) over ())::text as total
       from (${rows}) as ranked
       where value is not null
       order by ranked.value desc, customer_id collate "C"
       limit ${limit}`,
    values: parameters.values,
  });
  return {
    customers: Number(found[0]?.customers ?? 0),
    above: Number(found[0]?.above ?? 0),
    total: decimalOf(found[0]?.total ?? null),
    data: found.map(({ customer_id, value }) => ({ customerId: customer_id, value: decimalOf(value) })),
  };
}
