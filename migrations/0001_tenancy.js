/** Tenants, their customers, and the keys that speak for them. */
export const up = (pgm) => {
  pgm.sql(`
    create table tenant (
      id         text collate "C" primary key,
      name       text not null,
      active     boolean not null default true,
      created_at timestamptz not null default now(),
      updated_at timestamptz not null default now()
    );

    -- Registered by the first event that names them. No foreign key to tenant: the ingest path has
    -- checked the tenant already, and must not wait for a lock on its row.
    create table customer (
      tenant_id   text collate "C" not null,
      external_id text collate "C" not null,
      name        text,
      created_at  timestamptz not null default now(),
      updated_at  timestamptz not null default now(),
      primary key (tenant_id, external_id)
    );

    create table api_key (
      id           uuid primary key,
      tenant_id    text collate "C" references tenant (id), -- null: a platform key
      secret_hash  bytea not null unique,       -- SHA-256 of the whole key; the key itself is never stored
      scopes       text[] not null,
      expires_at   timestamptz,
      last_used_at timestamptz,
      revoked_at   timestamptz,
      created_at   timestamptz not null default now(),
      updated_at   timestamptz not null default now(),
      check (scopes <> '{}' and scopes <@ array['ingest', 'read', 'admin'])
    );
    create index api_key_tenant on api_key (tenant_id, created_at);
  `);
};

export const down = false;
