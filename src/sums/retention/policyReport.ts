import type { RetentionConfig } from '../../ground/config/retention.ts';
import type { Engine } from '../../ground/db/engine.ts';
import type { Queryable } from '../../ground/db/queryable.ts';
import { type ForeignPolicy, foreignPolicies } from './foreignPolicies.ts';
import { COMPRESSED, RETAINED, type Retained } from './retained.ts';

/** How long a relation is kept: what the configuration wants, and what is so. Days; null: for ever, or never. */
export interface RelationPolicy {
  relation: Retained;
  wantedDays: number | null;
  /** As the service was last started. */
  days: number | null;
  wantedColumnstoreDays: number | null;
  columnstoreDays: number | null;
  /** ISO 8601; what is older is not read any more. Null: nothing has been given up yet. */
  keptFrom: string | null;
  /** Whether all that is older has been removed. */
  removed: boolean;
  /** When the last pass through a table without an index by time ended; null: never, or there is such an index. */
  passedAt: string | null;
  /** Of the timescale engine; null elsewhere, and for plain tables. */
  chunks: { total: number; columnstore: number; due: number } | null;
}

export interface PolicyReport {
  relations: RelationPolicy[];
  /** Policies of TimescaleDB's own; beside some of them a service does not start (`isForbidden`). */
  foreign: ForeignPolicy[];
}

/** The policies that are wanted beside those that are in place, for `doctor` and whoever else asks. */
export async function policyReport(
  db: Queryable,
  engine: Engine,
  config: RetentionConfig,
): Promise<PolicyReport> {
  const { rows } = await db.query<Omit<RelationPolicy, 'wantedDays' | 'wantedColumnstoreDays' | 'chunks'>>(
    `select relation, extract(day from keep)::int as days, extract(day from compress_after)::int as "columnstoreDays",
       iso8601(nullif(kept_from, '-infinity')) as "keptFrom", removed_to >= kept_from as removed,
       iso8601(passed_at) as "passedAt"
     from retention`,
  );
  const chunks = engine === 'timescale' ? await chunkCounts(db) : new Map();
  const found = new Map(rows.map((row) => [row.relation, row]));
  return {
    relations: RETAINED.map((relation) => ({
      ...found.get(relation)!,
      wantedDays: config.days[relation],
      wantedColumnstoreDays:
        engine === 'timescale' && COMPRESSED.includes(relation) ? config.columnstoreAfterDays : null,
      chunks: chunks.get(relation) ?? null,
    })),
    foreign: engine === 'timescale' ? await foreignPolicies(db) : [],
  };
}

async function chunkCounts(db: Queryable): Promise<Map<string, RelationPolicy['chunks']>> {
  const { rows } = await db.query<{ relation: string; total: number; columnstore: number; due: number }>(
    `select c.relation, count(*)::int as total, count(*) filter (where c.state > 0)::int as columnstore,
       count(*) filter (where c.state <> 1 and c.range_end < now() - r.compress_after)::int as due
     from retention_chunk c join retention r using (relation) group by c.relation`,
  );
  return new Map(rows.map(({ relation, ...counts }) => [relation, counts]));
}
