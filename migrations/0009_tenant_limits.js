import { asOwner } from './support/owner.js';

/** What a tenant may send per second, in place of the service's default; 0: without limit. */
export const up = (pgm) => {
  asOwner(pgm);
  pgm.sql(`
    alter table tenant
      add column requests_per_second integer check (requests_per_second >= 0),
      add column events_per_second integer check (events_per_second >= 0);
  `);
};

export const down = false;
