import { asOwner } from './support/owner.js';

/** Subscriptions may ask for the digest of the events of a window in the messages that tell of it. */
export const up = (pgm) => {
  asOwner(pgm);
  pgm.sql(`
    alter table subscription add column digest boolean not null default false;
    -- The members that a message has beside its payload, as JSON: made before its first attempt, the same on each.
    alter table delivery add column digest text;
  `);
};

export const down = false;
