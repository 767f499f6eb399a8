import { missingRights } from '../../../ground/db/roles.ts';
import { fail, ok, type Verdict } from '../finding.ts';
import type { Patient } from '../patient.ts';

/** Tables of tenants' data, which the reading role must see through the views only. */
const TENANT_TABLES = [
  'event',
  'event_key',
  'event_identity',
  'usage_30s',
  'usage_1h',
  'usage_1d',
  'reference_1d',
  'late_window',
  'meter_part',
  'meter_30s',
  'meter_1h',
  'meter_1d',
];
const VIEWS = [
  'event',
  'usage_30s',
  'usage_1h',
  'usage_1d',
  'reference_1d',
  'late_window',
  'window_state',
  'meter_part',
  'meter_30s',
  'meter_1h',
  'meter_1d',
];

/** Whether the login may take the roles it works with, and whether those may do what they must and no more. */
export async function checkRoles({ db }: Patient): Promise<Verdict[]> {
  const { login, statements } = await missingRights(db);
  if (statements.length > 0) {
    return [fail(`the user ${login} lacks rights`, `an administrator has to run: ${statements.join('; ')};`)];
  }
  const { rows } = await db.query<{
    leaks: string[];
    blind: string[];
    open: string[];
    writes: boolean;
    super: string[];
  }>(
    `select array(select t from unnest($1::text[]) as t where has_table_privilege('tidemark_read', t, 'select')) as leaks,
            array(select v from unnest($2::text[]) as v
                  where not has_table_privilege('tidemark_read', 'tenant_data.' || v, 'select')) as blind,
            array(select c.relname::text from pg_class c
                  where c.relnamespace = 'tenant_data'::regnamespace and c.relkind = 'v'
                    and not coalesce(c.reloptions @> '{security_barrier=true}', false)) as open,
            has_table_privilege('tidemark_ingest', 'event', 'insert')
              and has_table_privilege('tidemark_ingest', 'event_key', 'insert')
              and has_table_privilege('tidemark_ingest', 'meter_part', 'insert') as writes,
            array(select rolname::text from pg_roles
                  where rolname in ('tidemark_read', 'tidemark_ingest') and (rolsuper or rolbypassrls)) as super`,
    [TENANT_TABLES, VIEWS],
  );
  const { leaks, blind, open, writes, super: almighty } = rows[0]!;
  const verdicts: Verdict[] = [];
  if (almighty.length > 0) {
    verdicts.push(
      fail(
        `${almighty.join(' and ')} may do anything`,
        almighty.map((role) => `alter role ${role} nosuperuser nobypassrls;`).join(' '),
      ),
    );
  } else if (leaks.length > 0) {
    verdicts.push(
      fail(
        `tidemark_read may read ${leaks.join(', ')} past the views: tenants are not kept apart`,
        `revoke all on ${leaks.join(', ')} from tidemark_read, public;`,
      ),
    );
  }
  if (open.length > 0) {
    verdicts.push(
      fail(
        `the views of ${open.join(', ')} are no security barriers`,
        open.map((view) => `alter view tenant_data.${view} set (security_barrier);`).join(' '),
      ),
    );
  }
  if (blind.length > 0) {
    verdicts.push(
      fail(
        `tidemark_read may not read ${blind.join(', ')}`,
        'grant select on all tables in schema tenant_data to tidemark_read;',
      ),
    );
  }
  if (!writes) {
    verdicts.push(
      fail('tidemark_ingest may not write events', 'grant insert on event, event_key to tidemark_ingest;'),
    );
  }
  return verdicts.length > 0 ? verdicts : [ok(`${login} may take each role, and each may do what it must`)];
}
