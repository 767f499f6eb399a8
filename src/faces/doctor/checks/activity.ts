import { WINDOW_MS } from '../../../model/window.ts';
import { judge, span, type Verdict } from '../finding.ts';
import type { Patient } from '../patient.ts';

const LIMITS_MS = { warnFrom: 300_000, failFrom: 3_600_000 };

/** How far the sums of activity are behind the closed windows. */
export async function checkActivity({ db }: Patient): Promise<Verdict[]> {
  const { rows } = await db.query<{ behind: number }>(
    `select greatest(0, extract(epoch from s.closed_until - c.covered_until) * 1000)::float8 as behind
     from window_state s, window_coverage c`,
  );
  const { behind } = rows[0]!;
  const message =
    behind <= 2 * WINDOW_MS
      ? 'added up with the closed windows'
      : `${span(behind)} behind the closed windows; reads are slower`;
  return [judge(behind, LIMITS_MS, message, 'see that an instance runs, and what its log says of activity')];
}
