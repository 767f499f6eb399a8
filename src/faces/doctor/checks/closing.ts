import { describeHolder, endHolder, holdersOf } from '../../../ground/db/holders.ts';
import { overdueMs } from '../../../sums/windows/overdue.ts';
import { judge, span, type Verdict, warn } from '../finding.ts';
import { engineOf, type Patient } from '../patient.ts';

const LIMITS_MS = { warnFrom: 60_000, failFrom: 600_000 };

/** How long windows have been due that are not closed, or closed and not in the rollups. */
export async function checkClosing(patient: Patient): Promise<Verdict[]> {
  const { db, config } = patient;
  const rolledUp =
    (await engineOf(patient)) === 'timescale'
      ? 'refreshed_30s from window_state'
      : 'folded_until from usage_fold';
  const { rows } = await db.query<{ closed_until: Date; closed_lag: number; behind: number }>(
    `select closed_until, (extract(epoch from clock_timestamp() - closed_until) * 1000)::float8 as closed_lag,
            (extract(epoch from closed_until - (select ${rolledUp})) * 1000)::float8 as behind
     from window_state`,
  );
  const { closed_until: until, closed_lag: lag, behind } = rows[0]!;
  const dueMs = overdueMs(-lag, config.windows.graceMs, 0);
  const closed = `windows are closed up to ${until.toISOString()}`;
  const verdicts = [
    judge(
      dueMs,
      LIMITS_MS,
      dueMs < LIMITS_MS.warnFrom ? closed : `${closed}: the next has been due for ${span(dueMs)}`,
      'see that an instance runs (tidemark serve), and what its log says of closing',
    ),
  ];
  if (dueMs >= LIMITS_MS.warnFrom) {
    for (const holder of await holdersOf(db, 'batches')) {
      verdicts.push(warn(`windows do not close because of ${describeHolder(holder)}`, endHolder(holder)));
    }
  }
  if (behind >= LIMITS_MS.warnFrom) {
    const message = `the rollups are ${span(behind)} behind the closed windows; reads are exact, and slower`;
    verdicts.push(judge(behind, LIMITS_MS, message, 'see what the log of the instances says of refreshing'));
  }
  return verdicts;
}
