import { asOwner } from './support/owner.js';

/** Which key took the place of which, and who changed what in the administration. */
export const up = (pgm) => {
  asOwner(pgm);
  pgm.sql(`
    alter table api_key
      add column replaces    uuid unique references api_key (id),
      add column replaced_by uuid unique references api_key (id);

    -- Without foreign keys: an entry outlives whatever it tells of.
    create table audit_log (
      id              uuid primary key default gen_random_uuid(),
      at              timestamptz not null default now(),
      actor_kind      text not null,
      actor_key_id    uuid,
      actor_tenant_id text collate "C",  -- null: a platform key, ADMIN_KEY or a command
      tenant_id       text collate "C",  -- whom the change is about; null: the platform
      action          text not null,
      target          text not null,
      changes         jsonb not null,    -- {"before": {…} or null, "after": {…}}
      request_id      text,
      client_address  inet,
      check (actor_kind in ('key', 'admin_key', 'command')),
      check ((actor_kind = 'key') = (actor_key_id is not null))
    );
    create index audit_log_at on audit_log (at, id);
    create index audit_log_tenant on audit_log (tenant_id, at, id);

    create function keep_audit_log() returns trigger language plpgsql as $$
    begin
      raise exception 'the audit log is only added to' using errcode = 'TM003';
    end $$;
    revoke execute on function keep_audit_log() from public;
    create trigger keep_audit_log before update or delete or truncate on audit_log
      for each statement execute function keep_audit_log();

    -- A tenant learns that the platform changed something of it, not from where.
    create view tenant_data.audit_log with (security_barrier) as
      select id, at, actor_kind, actor_key_id, actor_tenant_id, tenant_id, action, target, changes, request_id,
             case when actor_tenant_id = tenant_id then client_address end as client_address
      from audit_log where tenant_id = tenant_data.current_tenant();
    grant select on tenant_data.audit_log to tidemark_read;
  `);
};

export const down = false;
