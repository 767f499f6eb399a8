import { asOwner } from './support/owner.js';

/** Alert rules compare a meter: its value of each event, or its number per customer and period. */
export const up = (pgm) => {
  asOwner(pgm);
  pgm.sql(`
    alter table alert_rule
      add column meter_id uuid references meter (id), -- in place of field or measure
      -- Of kind usage: a statement for what is stored of the meter as single events, customer_id, at and value of each, as
      -- text for format: 1 and 2 are the bounds in time, and $1 the customers. Written when the rule is made (meterHistory.ts).
      add column history text,
      drop constraint alert_rule_check;
    alter table alert_rule
      add constraint alert_rule_compares check (case kind
        when 'event' then num_nonnulls(measure, period, history) = 0 and num_nonnulls(field, meter_id) = 1
          and coalesce(field in ('value', 'tokens', 'latencyMs'), true)
        when 'usage' then field is null and num_nonnulls(measure, meter_id) = 1
          and coalesce(measure in ('calls', 'tokens', 'value'), true) and coalesce(period in ('hour', 'day', 'month'), false)
          and (history is null) = (meter_id is null)
        else false end);

    -- What it does is in migrations/functions.
    create function meter_archived() returns trigger language plpgsql as $$ begin return new; end $$;
    revoke execute on function meter_archived() from public;
    create trigger meter_archived before update of archived_at on meter
      for each row when (old.archived_at is null and new.archived_at is not null) execute function meter_archived();
  `);
};

export const down = false;
