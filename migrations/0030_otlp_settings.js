import { asOwner } from './support/owner.js';

/** Where a tenant's customers are in what comes by OTLP; null: in the usual attributes, and without any it is refused. */
export const up = (pgm) => {
  asOwner(pgm);
  pgm.sql(`
    alter table tenant
      add column otlp_customer_attributes text[]
        check (cardinality(otlp_customer_attributes) between 1 and 20 and array_position(otlp_customer_attributes, null) is null),
      add column otlp_default_customer_id text check (otlp_default_customer_id <> '');
  `);
};

export const down = false;
