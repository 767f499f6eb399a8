import { asOwner } from './support/owner.js';

/**
 * From here on what a function does is in migrations/functions, one file each, and is put into the database after the
 * migrations wherever it is older there (docs/adr/0035).
 */
export const up = (pgm) => {
  asOwner(pgm);
  pgm.sql(`
    -- Which text of each function is in this database. A migration that drops or replaces one deletes its row.
    create table sql_function (
      name       text collate "C" primary key,
      revision   integer not null,  -- of the file; a version leaves alone what has a higher one than its own
      hash       text not null,     -- SHA-256 of the text below the file's first line
      applied_at timestamptz not null default now()
    );

    -- Called by writers of versions that knew of no messages (before 0010); the last two versions do not.
    drop function if exists enter_batch(timestamptz);
  `);
};

export const down = false;
