import { asOwner } from './support/owner.js';

/** Since when the ids of imported rows know what is said of the rows, not only the file. */
export const up = async (pgm) => {
  asOwner(pgm);
  pgm.sql(`
    -- An import whose ids were claimed before goes on with them. Of a database that is made now, none.
    alter table installation add column import_ids_since timestamptz not null default now();
  `);
};

export const down = false;
