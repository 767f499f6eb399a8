import type { RetentionConfig } from '../config/retention.ts';
import type { Queryable } from '../db/connections.ts';
import type { Engine } from '../db/engine.ts';
import type { Logger } from '../telemetry/logger.ts';
import { refuseForeignPolicies } from './foreignPolicies.ts';
import { COMPRESSED, RETAINED } from './retained.ts';

/**
 * Writes how long what is kept into the database, where every loop and tool reads it: what was started last holds. One
 * statement that changes rows in the order of their names, so that instances may start at once.
 *
 * @throws {StartupError} where TimescaleDB has been told to do what only the service may.
 */
export async function reconcileRetention(
  db: Queryable,
  engine: Engine,
  { days, columnstoreAfterDays }: RetentionConfig,
  log: Logger,
): Promise<void> {
  if (engine === 'timescale') await refuseForeignPolicies(db);
  const wanted = RETAINED.map((relation) => ({
    relation,
    keep: days[relation],
    compress_after: engine === 'timescale' && COMPRESSED.includes(relation) ? columnstoreAfterDays : null,
  }));
  const { rows: changes } = await db.query(
    `with wanted as (
       select relation, make_interval(days => keep) as keep, make_interval(days => compress_after) as compress_after
       from jsonb_to_recordset($1) as w (relation text, keep integer, compress_after integer)
     ), changed as materialized (
       select r.relation from retention r join wanted w using (relation)
       where (r.keep, r.compress_after) is distinct from (w.keep, w.compress_after)
       order by r.relation for update of r
     )
     update retention r set keep = w.keep, compress_after = w.compress_after, updated_at = now()
     from wanted w join changed using (relation)
     where r.relation = w.relation
     returning r.relation, extract(day from r.keep)::int as days, extract(day from r.compress_after)::int as columns_after`,
    [JSON.stringify(wanted)],
  );
  if (changes.length > 0) log.info({ retention: changes }, 'retention changed; null days: for ever');
}
