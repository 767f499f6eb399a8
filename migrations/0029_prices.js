import { asOwner } from './support/owner.js';

/** Unit prices, by what they are of. Null: there is none. */
const UNITS = [
  'input',
  'output',
  'cached_input',
  'reasoning',
  'cache_write',
  'audio_input',
  'audio_output',
  'call',
];

/** Prices of AI usage, of which nothing is ever changed, and the version of each tenant's list of them (docs/adr/0041). */
export const up = async (pgm) => {
  const { rows } = await pgm.db.query('select quote_ident(current_schema()) as schema');
  const { schema } = rows[0];
  asOwner(pgm);
  pgm.sql(`
    create table price_list (
      tenant_id  text collate "C" primary key references tenant (id),
      version    bigint not null,       -- one more with every change
      changed_at timestamptz not null
    );

    create table price (
      id             uuid primary key,
      tenant_id      text collate "C" not null references tenant (id),
      model          text collate "C" not null,
      match          text not null check (match in ('exact', 'prefix')),
      provider       text collate "C",  -- null: of whichever
      currency       text collate "C" not null check (currency ~ '^[A-Z]{3}$'),
      effective_from timestamptz not null default '-infinity',
      effective_to   timestamptz not null default 'infinity',
      ${UNITS.map((unit) => `${unit.padEnd(14)} numeric check (${unit} >= 0),`).join('\n      ')}
      supersedes     uuid references price (id),
      version        bigint not null,   -- of the list that it came with
      created_at     timestamptz not null default now(),
      superseded_in  bigint,            -- the version that goes without it; null: none does
      superseded_at  timestamptz,
      check (effective_from < effective_to),
      check (num_nonnulls(${UNITS.join(', ')}) > 0)
    );
    create index price_age on price (tenant_id, created_at, id);

    ${['price_list', 'price']
      .map(
        (name) => `create view tenant_data.${name} with (security_barrier) as
        select * from ${schema}.${name} where tenant_id = tenant_data.current_tenant();`,
      )
      .join('\n    ')}
    grant select on tenant_data.price_list, tenant_data.price to tidemark_read;
  `);
};

export const down = false;
