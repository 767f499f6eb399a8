import type pg from 'pg';

/** Makes the chunks of events (TimescaleDB) that hold some moments, in ms since the epoch, and leaves them empty. */
export async function makeChunks(sql: pg.Pool | pg.Client, ...moments: number[]): Promise<void> {
  await sql.query(
    `insert into event (tenant_id, customer_id, event_id, ts, event_type)
     select 'nobody', 'nobody', gen_random_uuid(), to_timestamp(ms / 1000.0), 'none' from unnest($1::float8[]) as ms`,
    [moments],
  );
  await sql.query(`delete from event where tenant_id = 'nobody'`);
}
