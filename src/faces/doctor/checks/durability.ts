import { fail, ok, type Verdict, warn } from '../finding.ts';
import type { Patient } from '../patient.ts';

/** Whether what has committed is on disk: without these, a crash of the server loses acknowledged events. */
export async function checkDurability({ db }: Patient): Promise<Verdict[]> {
  const { rows } = await db.query<{ name: string; setting: string }>(
    `select name, setting from pg_settings where name in ('fsync', 'full_page_writes', 'synchronous_commit')`,
  );
  const settings = Object.fromEntries(rows.map(({ name, setting }) => [name, setting]));
  const verdicts: Verdict[] = [];
  for (const name of ['fsync', 'full_page_writes']) {
    if (settings[name] !== 'off') continue;
    verdicts.push(
      fail(
        `${name} is off: a crash of the server can destroy the database`,
        `alter system set ${name} = on; select pg_reload_conf();`,
      ),
    );
  }
  const commit = settings.synchronous_commit;
  const advice =
    'alter system set synchronous_commit = on; select pg_reload_conf(); and look at alter role and alter database';
  if (commit === 'off') {
    verdicts.push(
      fail(
        'synchronous_commit is off: closing, keys and deliveries can be lost; batches of events set it themselves',
        advice,
      ),
    );
  } else if (commit === 'local') {
    verdicts.push(
      warn('synchronous_commit is local: a standby that takes over may lack what was acknowledged', advice),
    );
  }
  return verdicts.length > 0
    ? verdicts
    : [ok(`fsync and full_page_writes are on, synchronous_commit is ${commit}`)];
}
