import type pg from 'pg';
import { StartupError } from '../../model/errors.ts';

/** Whose rights the service works with: see migrations/0007 and docs/tenancy.md. */
const ROLES = ['tidemark_owner', 'tidemark_ingest', 'tidemark_read'];

/**
 * Sees to it that the roles are there and that whoever logs in may take each: as a member that inherits its rights
 * (the owner's) and may set it (the others'). Roles are the server's: another database may have made them, or be
 * making them right now.
 *
 * @throws {StartupError} with the statements that an administrator has to run, where the login may not.
 */
export async function ensureRoles(client: pg.Client): Promise<void> {
  const membership = await membershipOf(client);
  for (const role of ROLES) {
    await client.query(`do $$ begin
      if not exists (select from pg_roles where rolname = '${role}') then create role ${role} nologin; end if;
    exception when duplicate_object or unique_violation or insufficient_privilege then null;
    end $$`);
    await client.query(`do $$ begin
      if not ${membership.held(role)} then
        execute format('grant ${role} to %I${membership.options}', current_user);
      end if;
    exception when undefined_object or insufficient_privilege then null;
    end $$`);
  }
  const { login, statements } = await missingRights(client);
  if (statements.length === 0) return;
  throw new StartupError(
    `the user ${login} lacks rights that an administrator has to give, once: ${statements.join('; ')};`,
  );
}

/** The statements that an administrator has to run before the login may do what the service does. */
export async function missingRights(client: pg.Client): Promise<{ login: string; statements: string[] }> {
  const membership = await membershipOf(client);
  const { rows } = await client.query<{ login: string; statements: string[] }>(`
    select quote_ident(current_user) as login, array_remove(array[
      ${ROLES.map(
        (role) => `
      case when not exists (select from pg_roles where rolname = '${role}') then 'create role ${role} nologin' end,
      case when not ${membership.held(role)} then format('grant ${role} to %I${membership.options}', current_user) end`,
      ).join(',')},
      case when not has_database_privilege(current_database(), 'create')
           then format('grant create on database %I to %I', current_database(), current_user) end,
      case when not has_schema_privilege(current_schema(), 'create with grant option')
           then format('grant all on schema %I to %I with grant option', current_schema(), current_user) end
    ], null) as statements`);
  return rows[0]!;
}

/** What membership takes. From PostgreSQL 16 on it says what it is good for. */
async function membershipOf(client: pg.Client) {
  const { rows } = await client.query<{ version: number }>(
    `select current_setting('server_version_num')::int as version`,
  );
  const explicit = rows[0]!.version >= 160_000;
  return {
    options: explicit ? ' with inherit true, set true' : '',
    held: (role: string) =>
      `coalesce((select pg_has_role(current_user, oid, 'usage')
                    and pg_has_role(current_user, oid, '${explicit ? 'set' : 'member'}')
                 from pg_roles where rolname = '${role}'), false)`,
  };
}
