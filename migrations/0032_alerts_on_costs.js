import { asOwner } from './support/owner.js';

/** Alert rules compare what AI usage costs: each event, or the sum per customer and period, in a currency. */
export const up = (pgm) => {
  asOwner(pgm);
  pgm.sql(`
    -- Of a cost also: history is a statement as 0031 has it, for the usage of single events (costHistory.ts).
    alter table alert_rule
      add column currency text collate "C" check (currency ~ '^[A-Z]{3}$'),
      drop constraint alert_rule_compares;
    alter table alert_rule
      add constraint alert_rule_compares check (case kind
        when 'event' then num_nonnulls(measure, period, history) = 0 and num_nonnulls(field, meter_id) = 1
          and coalesce(field in ('value', 'tokens', 'latencyMs', 'cost'), true)
          and (currency is not null) = coalesce(field = 'cost', false)
        when 'usage' then field is null and num_nonnulls(measure, meter_id) = 1
          and coalesce(measure in ('calls', 'tokens', 'value', 'cost'), true) and coalesce(period in ('hour', 'day', 'month'), false)
          and (history is not null) = (meter_id is not null or coalesce(measure = 'cost', false))
          and (currency is not null) = coalesce(measure = 'cost', false)
        else false end);

    -- What a model costs now: by its name, and by each beginning of it.
    create index price_model on price (tenant_id, model) where superseded_in is null;
  `);
};

export const down = false;
