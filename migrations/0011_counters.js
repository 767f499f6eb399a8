import { asOwner } from './support/owner.js';

/**
 * Totals of named counters, kept in the transaction of the increments: a read costs one row, and a total outlives the
 * retention of its events.
 */
export const up = async (pgm) => {
  const { rows } = await pgm.db.query('select quote_ident(current_schema()) as schema');
  const { schema } = rows[0];
  asOwner(pgm);
  pgm.sql(`
    create table counter (
      tenant_id  text collate "C" not null,
      key        text collate "C" not null,
      value      numeric not null,
      created_at timestamptz not null default clock_timestamp(),
      updated_at timestamptz not null default clock_timestamp(),
      primary key (tenant_id, key)
    ) with (fillfactor = 50); -- a counter in use changes with every batch: room for that on its own page

    -- What an Idempotency-Key was used for; event_id is made of the key. The total has been added to once whatever
    -- stands here: it is there to tell a retry from another request under the same key.
    create table idempotent_increment (
      tenant_id   text collate "C" not null,
      event_id    uuid not null,
      key         text collate "C" not null,
      value       numeric not null,
      received_at timestamptz not null default now(),
      primary key (tenant_id, event_id)
    );

    /*
     * Adds what a batch has summed up to each counter, in the order of the keys: batches that share some wait for
     * each other, never in a circle. The writer calls it last, since batches wait here for each other's commit.
     */
    create function add_to_counters(sums jsonb, idempotent jsonb) returns void language sql
    security definer set search_path = ${schema}, pg_temp as $$
      insert into idempotent_increment (tenant_id, event_id, key, value)
      select i.tenant_id, i.event_id, i.key, i.value
      from jsonb_to_recordset(idempotent) as i (tenant_id text, event_id uuid, key text, value numeric);

      insert into counter as c (tenant_id, key, value)
      select s.tenant_id, s.key, s.value
      from jsonb_to_recordset(sums) as s (tenant_id text, key text, value numeric)
      order by s.tenant_id collate "C", s.key collate "C"
      on conflict (tenant_id, key) do update set
        value = c.value + excluded.value,
        updated_at = greatest(clock_timestamp(), c.updated_at)
    $$;
    revoke execute on function add_to_counters(jsonb, jsonb) from public;
    grant execute on function add_to_counters(jsonb, jsonb) to tidemark_ingest;

    create view tenant_data.counter with (security_barrier) as
      select * from counter where tenant_id = tenant_data.current_tenant();
    create view tenant_data.idempotent_increment with (security_barrier) as
      select * from idempotent_increment where tenant_id = tenant_data.current_tenant();
    grant select on tenant_data.counter, tenant_data.idempotent_increment to tidemark_read;
  `);
};

export const down = false;
