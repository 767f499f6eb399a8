import { chooseEngine } from './support/engine.js';

/** Relations with a tenant's data. Those who read see them through views of the same name, for one tenant at a time. */
const TENANT_RELATIONS = [
  'event',
  'usage_30s',
  'usage_1h',
  'usage_1d',
  'reference_1d',
  'late_window',
  'customer',
];
/** What every tenant may know: how far windows are closed. */
const SHARED_RELATIONS = ['window_state', 'window_closing'];

/** Everything there is by now, besides the rollups. */
const TABLES = [
  ...['tenant', 'customer', 'api_key', 'installation', 'event', 'event_identity', 'schema_migration'],
  ...['window_state', 'window_closing', 'late_window', 'window_announcement', 'subscription', 'outbox'],
];
const ROLLUPS = ['usage_30s', 'usage_1h', 'usage_1d', 'reference_1d'];

/** Functions that run with the rights of the owner, for those who may write events and nothing else. */
const INGEST_FUNCTIONS = [
  'enter_batch(timestamptz)',
  'mark_late_windows(jsonb)',
  'register_customers(jsonb)',
];
const OWNER_FUNCTIONS = ['close_windows(interval, interval, interval)', 'announce_closed_windows(integer)'];

/**
 * tidemark_owner owns everything, tidemark_ingest may insert events, tidemark_read may select from the views. The
 * service logs in as one user, who is a member of all three, and takes the role of each task for each transaction.
 * The roles belong to the whole server and are made before any migration: src/ground/db/roles.ts.
 */
export const up = async (pgm) => {
  const engine = await chooseEngine(pgm.db);
  const { rows } = await pgm.db.query(
    'select quote_ident(current_schema()) as schema, rolsuper as superuser from pg_roles where rolname = current_user',
  );
  const { schema, superuser } = rows[0];

  pgm.sql(`
    create schema tenant_data;

    /* The tenant this transaction reads for. Not to have one is an error, never an empty answer. */
    create function tenant_data.current_tenant() returns text language plpgsql stable parallel safe as $$
    declare
      tenant text := current_setting('tidemark.tenant_id', true);
    begin
      if tenant is null or tenant = '' then
        raise exception 'no tenant context: tidemark.tenant_id is not set' using errcode = 'TM002';
      end if;
      return tenant;
    end $$;

    ${TENANT_RELATIONS.map(
      (name) => `create view tenant_data.${name} with (security_barrier) as
        select * from ${schema}.${name} where tenant_id = tenant_data.current_tenant();`,
    ).join('\n    ')}
    ${SHARED_RELATIONS.map(
      (name) => `create view tenant_data.${name} with (security_barrier) as select * from ${schema}.${name};`,
    ).join('\n    ')}

    grant usage on schema tenant_data to tidemark_read;
    grant select on all tables in schema tenant_data to tidemark_read;

    grant usage on schema ${schema} to tidemark_ingest;
    grant insert on event, event_identity to tidemark_ingest;
    grant select (event_id, tenant_id) on event_identity to tidemark_ingest;
    ${[...INGEST_FUNCTIONS, ...OWNER_FUNCTIONS]
      .map((name) => `revoke execute on function ${name} from public;`)
      .join('\n    ')}
    ${INGEST_FUNCTIONS.map(
      (name) => `alter function ${name} security definer;
    alter function ${name} set search_path = ${schema}, pg_temp;
    grant execute on function ${name} to tidemark_ingest;`,
    ).join('\n    ')}
    ${
      engine === 'postgres'
        ? `alter function roll_up_events() security definer;
    alter function roll_up_events() set search_path = ${schema}, pg_temp;
    revoke execute on function roll_up_events() from public;`
        : ''
    }

    -- Later migrations take this role before they make anything (support/owner.js).
    grant usage, create on schema ${schema} to tidemark_owner;
    alter schema tenant_data owner to tidemark_owner;
    ${[...TABLES, ...[...TENANT_RELATIONS, ...SHARED_RELATIONS].map((name) => `tenant_data.${name}`)]
      .map((name) => `alter table ${name} owner to tidemark_owner;`)
      .join('\n    ')}
    ${ROLLUPS.map((name) =>
      engine === 'timescale' && !superuser
        ? `grant select on ${name} to tidemark_owner;` // its owner would need rights on a schema of the extension
        : `alter ${engine === 'timescale' ? 'materialized view' : 'table'} ${name} owner to tidemark_owner;`,
    ).join('\n    ')}
    ${[
      ...[...INGEST_FUNCTIONS, ...OWNER_FUNCTIONS, 'iso8601(timestamptz)', 'tenant_data.current_tenant()'],
      ...(engine === 'postgres' ? ['roll_up_events()'] : []),
    ]
      .map((name) => `alter function ${name} owner to tidemark_owner;`)
      .join('\n    ')}
  `);
};

export const down = false;
