import type { Queryable } from '../../ground/db/queryable.ts';
import type { TouchedWindow } from '../../sums/corrections/touchedWindow.ts';

/** A window that a correction changes, and by what. */
export interface MovedWindow extends TouchedWindow {
  /** Events that came or went, each once. */
  events: number;
  references: boolean;
  /** What is added to the sums: plain decimals. */
  calls: string;
  tokens: string;
  inputTokens: string;
  outputTokens: string;
  value: string;
}

interface Row {
  customer_id: string;
  ms: string;
  events: number;
  references: boolean;
  calls: string;
  tokens: string;
  input_tokens: string;
  output_tokens: string;
  value: string;
}

const SIGN = 'case when counts then 1 else -1 end';
const added = (expression: string) => `sum(${SIGN} * ${expression})`;

/** The windows of what has moved (`moved_event`), in the order of customers and time. */
export async function movedWindows(db: Queryable): Promise<MovedWindow[]> {
  const { rows } = await db.query<Row>(
    `select customer_id, extract(epoch from date_bin('30 seconds', ts, 'epoch'::timestamptz)) * 1000 as ms,
       count(distinct event_id)::int as events, bool_or(reference is not null) as references,
       ${added('1')} as calls, ${added('coalesce(tokens, 0)')} as tokens, ${added('coalesce(input_tokens, 0)')} as input_tokens,
       ${added('coalesce(output_tokens, 0)')} as output_tokens,
       ${added(`coalesce(value, 0) * case event_type when 'negative' then -1 else 1 end`)} as value
     from moved_event group by 1, 2 order by customer_id collate "C", 2`,
  );
  return rows.map((row) => ({
    customerId: row.customer_id,
    start: Number(row.ms),
    events: row.events,
    references: row.references,
    calls: row.calls,
    tokens: row.tokens,
    inputTokens: row.input_tokens,
    outputTokens: row.output_tokens,
    value: row.value,
  }));
}
