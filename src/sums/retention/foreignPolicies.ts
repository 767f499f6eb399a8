import type { Queryable } from '../../ground/db/queryable.ts';
import { StartupError } from '../../model/errors.ts';

/** A job of TimescaleDB's own on a relation of ours that does what the service does. */
export interface ForeignPolicy {
  jobId: number;
  procedure: string;
  relation: string;
}

/**
 * Those that the service cannot run beside. A refresh that reaches past what is kept erases summaries, one that reaches
 * past the closed windows hides events; and what a retention policy drops nobody has looked at before.
 */
const FORBIDDEN = ['policy_refresh_continuous_aggregate', 'policy_retention'];

/** Whether a policy harms what is stored. Others, which pack or sort chunks, only keep writers and refreshes waiting. */
export function isForbidden({ procedure }: ForeignPolicy): boolean {
  return FORBIDDEN.includes(procedure);
}

/**
 * Policies that somebody has added, or that TimescaleDB has: from 2.29 on, `tsdb.direct_compress` on a hypertable comes
 * with one that packs and one that compacts.
 */
export async function foreignPolicies(db: Queryable): Promise<ForeignPolicy[]> {
  const { rows } = await db.query<ForeignPolicy>(
    `select j.job_id as "jobId", j.proc_name as procedure, coalesce(a.view_name, j.hypertable_name) as relation
     from timescaledb_information.jobs j
     left join timescaledb_information.continuous_aggregates a
       on j.hypertable_name in (a.view_name, a.materialization_hypertable_name)
     join retention r on r.relation = coalesce(a.view_name, j.hypertable_name)
     where j.proc_name like 'policy\\_%'
     order by 1`,
  );
  return rows;
}

/**
 * @returns those that are no more than in the way.
 * @throws {StartupError} with the statements that remove the others.
 */
export async function refuseForeignPolicies(db: Queryable): Promise<ForeignPolicy[]> {
  const all = await foreignPolicies(db);
  const policies = all.filter(isForbidden);
  if (policies.length === 0) return all;
  const found = policies.map(({ procedure, relation }) => `${procedure} on ${relation}`);
  const remove = policies.map(({ jobId }) => `select delete_job(${jobId})`);
  throw new StartupError(
    `TimescaleDB has policies that would reach past what is kept (${found.join(', ')}); the service does their work ` +
      `itself (docs/data-life.md). Remove them: ${remove.join('; ')};`,
  );
}
