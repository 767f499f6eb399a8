import { chooseEngine } from './support/engine.js';
import { asOwner } from './support/owner.js';

/**
 * Keys of any length: a row of a B-tree has room for 2,704 bytes, and customer, type, endpoint and model may have 5,000. What
 * is unique is now a digest of what a customer's bucket, or a reference's day, is divided by. Nothing on the timescale
 * engine, whose rollups have no such index.
 */
export const up = async (pgm) => {
  if ((await chooseEngine(pgm.db)) !== 'postgres') return;
  asOwner(pgm);
  pgm.sql(`
    -- No two lists of texts have the same: before each stands its length. Immutable because a database never changes its encoding.
    create function key_digest(a text, b text, c text default null) returns bytea
    language plpgsql immutable parallel safe as $$
    begin
      return sha256(convert_to(
        coalesce(length(a) || ':' || a, '-') || coalesce(length(b) || ':' || b, '-') || coalesce(length(c) || ':' || c, '-'),
        'UTF8'));
    end $$;
    revoke execute on function key_digest(text, text, text) from public;

    ${['usage_30s', 'usage_1h', 'usage_1d']
      .map(
        (name) => `
    drop index ${name}_customer;
    create unique index ${name}_customer
      on ${name} (tenant_id, customer_id, bucket, key_digest(event_type, endpoint, model));`,
      )
      .join('')}
    alter table reference_1d drop constraint reference_1d_pkey;
    create unique index reference_1d_pkey
      on reference_1d (tenant_id, reference, bucket, key_digest(customer_id, event_type));

    do $$
    declare
      was text := pg_get_functiondef('roll_up_events'::regproc);
      usage_by_digest text := replace(was,
        'on conflict (tenant_id, customer_id, bucket, event_type, endpoint, model)',
        'on conflict (tenant_id, customer_id, bucket, key_digest(event_type, endpoint, model))');
      all_by_digest text := replace(usage_by_digest,
        'on conflict (tenant_id, reference, bucket, customer_id, event_type)',
        'on conflict (tenant_id, reference, bucket, key_digest(customer_id, event_type))');
    begin
      if usage_by_digest = was or all_by_digest = usage_by_digest then
        raise exception 'roll_up_events is not what this migration expects';
      end if;
      execute all_by_digest;
    end $$;
  `);
};

export const down = false;
