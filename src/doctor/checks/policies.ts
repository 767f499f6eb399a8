import type { Patient } from '../examine.ts';
import { fail, ok, type Verdict, warn } from '../finding.ts';

const DAY_MS = 86_400_000;

interface Job {
  job_id: number;
  kind: 'refresh' | 'retention' | 'columnstore';
  relation: string;
  /** How old what a retention drops is at least, in ms. */
  drop_after_ms: number | null;
}

const OURS = `('event', 'usage_30s', 'usage_1h', 'usage_1d', 'reference_1d')`;

/**
 * The jobs that TimescaleDB runs on our relations. It names a continuous aggregate, or what that is stored in, according
 * to its version.
 */
const JOBS = `
  select j.job_id, coalesce(c.view_name, j.hypertable_name)::text as relation,
    case j.proc_name when 'policy_refresh_continuous_aggregate' then 'refresh'
                     when 'policy_retention' then 'retention' else 'columnstore' end as kind,
    (extract(epoch from (j.config ->> 'drop_after')::interval) * 1000)::float8 as drop_after_ms
  from timescaledb_information.jobs j
  left join timescaledb_information.continuous_aggregates c
    on c.materialization_hypertable_schema = j.hypertable_schema
    and c.materialization_hypertable_name = j.hypertable_name
  where j.scheduled
    and j.proc_name in ('policy_refresh_continuous_aggregate', 'policy_retention', 'policy_compression')
    and coalesce(c.view_schema, j.hypertable_schema) = current_schema()
    and coalesce(c.view_name, j.hypertable_name) in ${OURS}
  order by j.job_id`;

/**
 * Whether nobody but the closer refreshes the rollups, and nothing is dropped that is still accepted. Whether the jobs
 * succeed is not asked: on PostgreSQL 15 some minor releases mark every run as failed that has done its work.
 */
export async function checkPolicies({ db, config }: Patient): Promise<Verdict[]> {
  const { rows: engines } = await db.query<{ engine: string }>('select engine from installation');
  if (engines[0]!.engine !== 'timescale') return [ok('TimescaleDB runs no jobs here')];
  const { rows: jobs } = await db.query<Job>(JOBS);
  const verdicts = jobs.flatMap((job) => faultOf(job, config.ingest.acceptBehindMs));
  if (verdicts.length > 0) return verdicts;
  const named = jobs.map(({ kind, relation }) => `${kind} of ${relation}`).join(', ');
  return [ok(`no refresh policy; ${named === '' ? 'no columnstore or retention policy either' : named}`)];
}

function faultOf(
  { job_id: id, kind, relation, drop_after_ms: dropAfterMs }: Job,
  acceptBehindMs: number,
): Verdict[] {
  if (kind === 'refresh') {
    const advice = `select remove_continuous_aggregate_policy('${relation}');`;
    return [
      fail(
        `${relation} has a refresh policy (job ${id}): it can hide events from summaries before windows close`,
        advice,
      ),
    ];
  }
  if (kind !== 'retention' || dropAfterMs === null || dropAfterMs > acceptBehindMs) return [];
  const days = (ms: number) => `${Math.round(ms / DAY_MS)} days`;
  const message = `${relation} is dropped after ${days(dropAfterMs)}, and events of ${days(acceptBehindMs)} ago are accepted`;
  return [
    (relation === 'event' ? fail : warn)(
      message,
      'keep it for longer than ACCEPT_BEHIND_DAYS, or lower that',
    ),
  ];
}
