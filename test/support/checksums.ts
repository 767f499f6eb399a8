import type pg from 'pg';

/** Every relation of the service, rollups and views included: how many rows, and a sum of their hashes. */
export async function checksums(sql: pg.Pool | pg.Client): Promise<Record<string, string>> {
  const { rows } = await sql.query<{ relation: string }>(
    `select quote_ident(relname) as relation from pg_class
     where relnamespace = 'public'::regnamespace and relkind in ('r', 'v', 'm') and relname !~ '^pg_' order by 1`,
  );
  const sums: Record<string, string> = {};
  for (const { relation } of rows) {
    const answer = await sql.query(
      `select count(*) || ' rows, ' || coalesce(sum(hashtextextended(r::text, 0)::numeric), 0) as sum from ${relation} as r`,
    );
    sums[relation] = answer.rows[0].sum;
  }
  return sums;
}
