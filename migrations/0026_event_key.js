import { asOwner } from './support/owner.js';

const SLOTS = [0, 1, 2, 3, 4, 5, 6];
const KEYS = SLOTS.map((slot) => `key_${slot}`);

/**
 * Who has been counted, in 63 bytes in place of 112: one UUID for tenant and id, seven of them a row (docs/adr/0037).
 * Takes as long however many ids there are: what event_identity holds is moved by the service (move_identities).
 */
export const up = (pgm) => {
  asOwner(pgm);
  pgm.sql(`
    -- Writers of the version before are in no transaction that has claimed ids from here on. They hold the batches' lock
    -- first, and 0027 asks for it in this same transaction.
    select pg_advisory_xact_lock(hashtext('tidemark.windows'));
    lock table event_identity in share row exclusive mode;

    -- Salts of tenants are made of it: src/model/identityKey.ts. Nobody but the service and administrators may know it.
    alter table installation add column identity_secret uuid not null default gen_random_uuid();

    /*
     * Who has been counted: a key is made of an event's tenant and id. Each has its slot, so that each slot has a unique
     * index and a row holds what a batch has for all of them. received_at is when they were claimed (docs/adr/0003).
     */
    create table event_key (
      received_at timestamptz not null default now(),
      ${KEYS.map((key) => `${key} uuid`).join(', ')}
    );
    ${KEYS.map((key) => `create unique index event_${key} on event_key (${key}) where ${key} is not null;`).join('\n    ')}
    grant insert on event_key to tidemark_ingest;
    grant select (${KEYS.join(', ')}) on event_key to tidemark_ingest;

    create view counted_key as
      select k.key, e.received_at from event_key e cross join unnest(array[${KEYS.join(', ')}]) as k (key)
      where k.key is not null;

    insert into retention (relation, keep) select 'event_key', keep from retention where relation = 'event_identity';

    -- How far the ids of before have been moved into event_key. What is claimed until they are is looked up in both.
    create table identity_move (
      only_row    boolean primary key default true check (only_row),
      next_page   bigint,             -- of event_identity: those from here on are done. Null: not begun
      moved       bigint not null default 0, -- ids
      began_at    timestamptz,
      finished_at timestamptz         -- from here on nobody looks into event_identity
    );
    insert into identity_move (finished_at) select case when not exists (select from event_identity) then now() end;

    -- Of it migrations/functions has the text.
    create function mirror_identity() returns trigger language plpgsql as $$ begin return new; end $$;
    create trigger mirror_identity before insert on event_identity for each row execute function mirror_identity();
  `);
};

export const down = false;
