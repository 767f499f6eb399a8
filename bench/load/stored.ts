import type pg from 'pg';
import { checkCounts } from './measurement.ts';

/**
 * Compares what is stored with what was acknowledged: events, identities, and the calls of each rollup.
 *
 * @param rollups false where they are left behind, as raw COPY leaves them.
 * @returns what differs.
 */
export async function checkStored(client: pg.Client, expected: number, rollups = true): Promise<string[]> {
  const calls = (relation: string) =>
    `(select coalesce(sum(calls), 0) from ${relation}) as calls_in_${relation}`;
  const counts = [
    '(select count(*) from event) as events',
    `(${await identities(client)}) as identities`,
    ...(rollups ? ['usage_30s', 'usage_1h', 'usage_1d'].map(calls) : []),
  ];
  return checkCounts(client, `select ${counts.join(', ')}`, expected);
}

/** What holds claimed ids: several to a row, with a view of one each, or as in earlier builds a row each. */
async function identities(client: pg.Client): Promise<string> {
  const { rows } = await client.query<{ keys: boolean }>(
    `select to_regclass('counted_key') is not null as keys`,
  );
  return `select count(*) from ${rows[0]!.keys ? 'counted_key' : 'event_identity'}`;
}

/** Bytes of all relations that hold claimed ids, with their indexes, whichever the build. */
export async function identityBytes(client: pg.Client): Promise<number> {
  const { rows } = await client.query<{ bytes: string }>(
    `select coalesce(sum(pg_total_relation_size(oid)), 0) as bytes from pg_class
     where relkind = 'r' and relnamespace = 'public'::regnamespace and relname ~ '^event_(identity|key)'`,
  );
  return Number(rows[0]!.bytes);
}
