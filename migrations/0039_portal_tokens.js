import { asOwner } from './support/owner.js';

/** Tokens with which one customer reads its own, and nothing else (docs/portal.md). */
export const up = (pgm) => {
  asOwner(pgm);
  pgm.sql(`
    create table portal_token (
      id           uuid primary key,
      tenant_id    text collate "C" not null references tenant (id),
      secret_hash  bytea not null unique,     -- SHA-256 of the whole token, which itself is never stored
      customer_id  text collate "C" not null, -- it need not have events yet
      meters       text[],                    -- slugs; null: all
      usage        boolean not null,
      costs        boolean not null,
      key_id       uuid references api_key (id), -- that made it, and with which it ends; null: ADMIN_KEY or a command
      expires_at   timestamptz not null,
      last_used_at timestamptz,
      revoked_at   timestamptz,
      created_at   timestamptz not null default now(),
      updated_at   timestamptz not null default now(),
      check (meters <> '{}'),
      check (usage or not costs)
    );
    create index portal_token_customer on portal_token (tenant_id, customer_id);
    create index portal_token_expires on portal_token (expires_at);
  `);
};

export const down = false;
