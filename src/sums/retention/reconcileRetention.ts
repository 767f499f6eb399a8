import type { RetentionConfig } from '../../ground/config/retention.ts';
import type { Engine } from '../../ground/db/engine.ts';
import type { Queryable } from '../../ground/db/queryable.ts';
import type { Logger } from '../../ground/telemetry/logger.ts';
import { refuseForeignPolicies } from './foreignPolicies.ts';
import { COMPRESSED, RETAINED } from './retained.ts';

/**
 * Writes how long what is kept into the database, where every loop and tool reads it: what was started last holds.
 * Instances may start at once.
 *
 * @throws {StartupError} where TimescaleDB has been told to do what only the service may.
 */
export async function reconcileRetention(
  db: Queryable,
  engine: Engine,
  { days, columnstoreAfterDays }: RetentionConfig,
  log: Logger,
): Promise<void> {
  if (engine === 'timescale') {
    const policies = await refuseForeignPolicies(db);
    if (policies.length > 0) log.warn({ policies }, "TimescaleDB's own policies are in the way; see doctor");
  }
  const wanted = RETAINED.map((relation) => ({
    relation,
    keep: days[relation],
    compress_after: engine === 'timescale' && COMPRESSED.includes(relation) ? columnstoreAfterDays : null,
  }));
  const { rows: changes } = await db.query(
    `select relation, extract(day from keep)::int as days, extract(day from compress_after)::int as columnstore_after
     from settle_retention($1)`,
    [JSON.stringify(wanted)],
  );
  if (changes.length > 0) log.info({ retention: changes }, 'retention changed; null days: for ever');
}
