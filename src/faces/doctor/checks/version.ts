import { OLDEST_SERVER } from '../../../ground/db/prepareDatabase.ts';
import { fail, ok, type Verdict } from '../finding.ts';
import type { Patient } from '../patient.ts';

/** Whether the server is one that the SQL is written for, and how far away it is. */
export async function checkVersion({ db }: Patient): Promise<Verdict[]> {
  const { rows } = await db.query<{ number: number; name: string; database: string; recovering: boolean }>(
    `select current_setting('server_version_num')::int as number, current_setting('server_version') as name,
            current_database() as database, pg_is_in_recovery() as recovering`,
  );
  const { number, name, database, recovering } = rows[0]!;
  const started = performance.now();
  await db.query('select');
  const ms = (performance.now() - started).toFixed(1);
  if (number < OLDEST_SERVER)
    return [fail(`PostgreSQL ${name} is too old`, 'upgrade to PostgreSQL 15 or newer')];
  if (recovering) {
    return [
      fail(
        `PostgreSQL ${name}: ${database} is a standby, and nothing can be written`,
        'connect to the primary',
      ),
    ];
  }
  return [ok(`PostgreSQL ${name}, answers in ${ms} ms`)];
}
