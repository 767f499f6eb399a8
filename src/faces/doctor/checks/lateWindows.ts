import { judge, span, type Verdict } from '../finding.ts';
import type { Patient } from '../patient.ts';

const LIMITS_MS = { warnFrom: 300_000, failFrom: 3_600_000 };
/** Beyond this the exact number says no more. */
const MOST = 10_000;

/** Closed windows that changed and that some rollup still lacks: until then they are read from the events. */
export async function checkLateWindows({ db }: Patient): Promise<Verdict[]> {
  const { rows } = await db.query<{ pending: number; age: number; held: boolean }>(
    `select count(*)::int as pending,
            coalesce(max(extract(epoch from clock_timestamp() - updated_at)) * 1000, 0)::float8 as age,
            (select until > clock_timestamp() from refresh_lease) as held
     from (select greatest(updated_at, bucket) as updated_at from late_window
           -- Corrections mark open ones, too, which wait for their closing.
           where stale and bucket < (select closed_until from window_state) limit ${MOST}) as pending`,
  );
  const { pending, age, held } = rows[0]!;
  const many = pending === MOST ? `${MOST} or more` : String(pending);
  const who = held ? 'somebody is at it' : 'nobody is at it';
  const message =
    pending === 0
      ? 'none waits for its rollups'
      : `${many} wait for their rollups, the oldest for ${span(age)}; ${who}`;
  return [judge(age, LIMITS_MS, message, 'see that an instance runs, and what its log says of refreshing')];
}
