import { type ForeignPolicy, isForbidden } from '../../../sums/retention/foreignPolicies.ts';
import { policyReport, type RelationPolicy } from '../../../sums/retention/policyReport.ts';
import { fail, ok, type Verdict, warn } from '../finding.ts';
import { engineOf, type Patient } from '../patient.ts';

/**
 * Whether TimescaleDB has no policy of its own where the service does the work, and data are kept for as long as the
 * configuration says.
 */
export async function checkPolicies(patient: Patient): Promise<Verdict[]> {
  const { db, config } = patient;
  const { relations, foreign } = await policyReport(db, await engineOf(patient), config.retention);
  const differences = relations.flatMap(differenceOf);
  const verdicts = foreign.map(faultOf);
  if (differences.length > 0) {
    const advice = 'restart the service, or give doctor the environment of the service';
    verdicts.push(warn(`not as configured: ${differences.join('; ')}`, advice));
  }
  if (verdicts.length > 0) return verdicts;
  const kept = relations
    .filter(({ days }) => days !== null)
    .map(({ relation, days }) => `${relation} ${days} days`);
  return [
    ok(`as configured; kept for a time: ${kept.length === 0 ? 'nothing, all is kept' : kept.join(', ')}`),
  ];
}

function faultOf(policy: ForeignPolicy): Verdict {
  const { jobId, procedure, relation } = policy;
  const found = `${relation} has a ${procedure} of TimescaleDB's own`;
  const remove = `select delete_job(${jobId});`;
  if (!isForbidden(policy)) {
    return warn(`${found}: writers and refreshes wait for it, and the service does its work itself`, remove);
  }
  const harm =
    procedure === 'policy_retention' ? 'drops what nobody has looked at' : 'can hide events from summaries';
  return fail(`${found}: it ${harm}, and no service starts beside it`, remove);
}

/** What is in place is what the service last started with. */
function differenceOf(policy: RelationPolicy): string[] {
  const { relation, days, wantedDays, columnstoreDays, wantedColumnstoreDays } = policy;
  if (days === wantedDays && columnstoreDays === wantedColumnstoreDays) return [];
  const said = (kept: number | null, column: number | null) =>
    `${kept === null ? 'for ever' : `${kept} days`}${column === null ? '' : `, in the columnstore after ${column}`}`;
  const wanted = said(wantedDays, wantedColumnstoreDays);
  return [`${relation} is kept ${said(days, columnstoreDays)}, and should be ${wanted}`];
}
