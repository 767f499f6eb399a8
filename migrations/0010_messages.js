import { asOwner } from './support/owner.js';

/** Who hears of what, and the messages that are written with the facts they tell of. */
export const up = (pgm) => {
  asOwner(pgm);
  pgm.sql(`
    alter table subscription
      add column url text,                          -- a webhook, or
      add column stream text,                       -- a Redis stream
      add column customers text[],                  -- null: all
      add column description text,
      add column secret text,                       -- whsec_…, of webhooks; gone once the subscription is deleted
      add column previous_secret text,
      add column previous_secret_until timestamptz, -- until then both sign
      add column disabled_at timestamptz,
      add column disabled_reason text,              -- '410 Gone', 'by request'
      add column deleted_at timestamptz;            -- kept, not active, for the list of its deliveries
    delete from subscription; -- made by hand, and messages could not be sent anywhere
    alter table subscription
      add constraint subscription_destination check (num_nonnulls(url, stream) = 1),
      add constraint subscription_customers check (customers <> '{}'),
      add constraint subscription_deleted check (deleted_at is null or not active);
    create index subscription_tenant on subscription (tenant_id, created_at);

    alter table outbox
      add column xid xid8 not null default pg_current_xact_id(),
      add column fanned_out_at timestamptz;
    update outbox set fanned_out_at = now();
    create index outbox_waiting on outbox (id) where fanned_out_at is null;

    -- Counts the changes of subscription and alert_rule: writers compare it with that of what they know of them.
    alter table window_state add column interest_version bigint not null default 0;
  `);
};

export const down = false;
