import type pg from 'pg';

const DAY = 86_400_000;

/** What stands in the statements of INDEX_QUERIES. */
export type Placeholders = Record<
  'start' | 'day' | 'hour' | 'next' | 'end' | 'uuid' | 'subscription' | 'outbox',
  string
>;

/**
 * Fills a migrated database with `events` events of 200 tenants over four days, all closed and refreshed, and every other
 * table with enough rows that an index is worth it.
 */
export async function seedForPlans(sql: pg.ClientBase, events: number): Promise<Placeholders> {
  const state = await sql.query<{ closed: Date; engine: string }>(
    'select closed_until as closed, engine from window_state, installation',
  );
  const { closed, engine } = state.rows[0]!;
  const end = Math.floor(closed.getTime() / DAY) * DAY;
  const start = end - 4 * DAY;
  await sql.query(
    `insert into event (ts, event_id, tenant_id, customer_id, event_type, endpoint, model, reference, tokens, value, latency_ms)
     select timestamptz '${iso(start)}' + n * (interval '4 days' / ${events}), md5('event ' || n)::uuid, 'tenant-' || n % 200,
       'customer-' || n / 200 % 20, 'api.request', '/api/' || n % 3, 'model-' || n % 2,
       case when n % 10 = 1 then 'order-' || n / 200 % 500 end, n % 1000, n % 7, n % 900
     from generate_series(0, ${events} - 1) as n`,
  );
  await sql.query(`
    insert into event_key (key_0, key_1, key_2, key_3, key_4, key_5, key_6)
      select k[1], k[2], k[3], k[4], k[5], k[6], k[7] from (
        select array_agg(event_id order by event_id) as k
        from (select event_id, row_number() over (order by event_id) / 7 as n from event) as e group by n) as dealt;
    insert into tenant (id, name) select 'tenant-' || n, 'Tenant' from generate_series(0, 1999) as n;
    insert into customer (tenant_id, external_id) select 'tenant-' || t, 'customer-' || c
      from generate_series(0, 19) as t, generate_series(0, 999) as c;
    insert into api_key (id, tenant_id, secret_hash, scopes)
      select md5('key ' || n)::uuid, 'tenant-' || n % 2000, sha256(('key ' || n)::bytea), '{read}' from generate_series(1, 5000) as n;
    insert into portal_token (id, tenant_id, secret_hash, customer_id, usage, costs, key_id, expires_at)
      select md5('token ' || n)::uuid, 'tenant-' || n % 20, sha256(('token ' || n)::bytea), 'customer-' || n % 100, true, false,
        md5('key 7')::uuid, timestamptz '${iso(start)}' - interval '60 days' + n * interval '5 minutes' from generate_series(1, 20000) as n;
    insert into audit_log (at, actor_kind, tenant_id, action, target, changes)
      select timestamptz '${iso(start)}' + n * interval '17 seconds', 'command', 'tenant-' || n % 2000, 'key.created', n::text, '{}'
      from generate_series(1, 20000) as n;
    insert into counter (tenant_id, key, value) select 'tenant-' || t, 'key-' || n, 1
      from generate_series(0, 19) as t, generate_series(0, 499) as n;
    insert into idempotent_increment (tenant_id, event_id, key, value)
      select 'tenant-' || n % 20, md5('event ' || n)::uuid, 'key-1', 1 from generate_series(1, 10000) as n;
    insert into window_closing select timestamptz '${iso(start)}' + n * interval '30 seconds', timestamptz '${iso(start)}' + n * interval '30 seconds'
      from generate_series(0, 11000) as n;
    insert into late_window (bucket, tenant_id, customer_id, revision, stale, stale_references, activity_revision, revised_at)
      select timestamptz '${iso(start)}' + n * interval '10 seconds', 'tenant-' || n % 20, 'customer-' || n / 20 % 200, 1,
        n % 97 = 0, n % 991 = 0, case when n % 101 = 0 then 0 else 1 end, timestamptz '${iso(start)}' + n * interval '10 seconds'
      from generate_series(1, 34000) as n on conflict do nothing;
    insert into late_window_sum
      select tenant_id, '', date_bin('1 hour', bucket, 'epoch'), sum(activity_revision) from late_window group by 1, 3
      union all
      select tenant_id, customer_id, date_bin('1 day', bucket, 'epoch'), sum(activity_revision) from late_window group by 1, 2, 3;
    insert into activity_calls select 'tenant-' || t, '1h', timestamptz '${iso(start)}' + h * interval '1 hour', 'type-' || k, 1
      from generate_series(0, 19) as t, generate_series(0, 95) as h, generate_series(0, 9) as k;
    insert into activity_customer select 'tenant-' || t, '1h', timestamptz '${iso(start)}' + h * interval '1 hour', 'customer-' || k
      from generate_series(0, 19) as t, generate_series(0, 95) as h, generate_series(0, 29) as k;
    insert into meter_series (tenant_id, definition, digest, event_type, filter, paths, is_distinct, fill_floor, filled_from)
      select 'tenant-' || n % 200, '{}', sha256(n::text::bytea), 'api.request', '[]', '{}', false, '-infinity', '-infinity'
      from generate_series(1, 2000) as n;
    insert into meter (id, tenant_id, slug, name, event_type, aggregation, series_id, created_at)
      select md5('meter ' || n)::uuid, 'tenant-' || n % 200, 'slug_' || n, 'Meter', 'api.request', 'count', n,
        timestamptz '${iso(start)}' + n * interval '1 second'
      from generate_series(1, 2000) as n;
    insert into meter_part (series_id, bucket, tenant_id, customer_id, dims, events, counted, sum, ignored_missing,
        ignored_null, ignored_type, ignored_range)
      select s, timestamptz '${iso(end)}' - 3 * interval '1 day' + n % 200 * interval '30 seconds', 'tenant-' || s % 200, 'customer-' || n % 20, '{}',
        1, 1, 1, 0, 0, 0, 0 from generate_series(1, 50) as s, generate_series(1, 400) as n;
    ${Object.entries({ '30s': '30 minutes', '1h': '1 hour', '1d': '1 day' })
      .map(
        ([level, step]) => `
    insert into meter_${level} (series_id, bucket, tenant_id, customer_id, dims, dims_digest, events, counted, sum,
        ignored_missing, ignored_null, ignored_type, ignored_range)
      select s, b, 'tenant-' || s % 200, case when c = 0 then '' else 'customer-' || c end, '{}', meter_dims_digest('{}'),
        1, 1, 1, 0, 0, 0, 0
      from generate_series(1, 50) as s, generate_series(0, 19) as c,
        generate_series(timestamptz '${iso(start)}', timestamptz '${iso(end)}' - interval '1 second', interval '${step}') as b;`,
      )
      .join('')}
    insert into price_list select 'tenant-' || n, 1, '${iso(start)}' from generate_series(0, 199) as n;
    insert into price (id, tenant_id, model, match, currency, input, version, created_at)
      select md5('price ' || n)::uuid, 'tenant-' || n % 200, 'model-' || n / 200, 'exact', 'USD', 0.000001, 1,
        timestamptz '${iso(start)}' + n * interval '1 second'
      from generate_series(1, 20000) as n;
    insert into activity_users select 'tenant-' || t, '1h', timestamptz '${iso(start)}' + h * interval '1 hour', 30
      from generate_series(0, 199) as t, generate_series(0, 95) as h;
    -- Their triggers take turns with batches, of which there are none here.
    alter table subscription disable trigger user;
    alter table alert_rule disable trigger user;
    insert into subscription (id, tenant_id, message_types, url)
      select md5('subscription ' || n)::uuid, 'tenant-' || n % 20, '{usage.threshold}', 'https://example.test/' from generate_series(0, 1999) as n;
    insert into alert_rule (id, tenant_id, kind, measure, period, threshold)
      select md5('rule ' || n)::uuid, 'tenant-' || n % 20, 'usage', 'calls', 'day', 1 from generate_series(0, 1999) as n;
    alter table subscription enable trigger user;
    alter table alert_rule enable trigger user;
    insert into tally_state select 'tenant-' || n, true, 1, true from generate_series(0, 1999) as n;
    insert into record_tally select 'tenant-' || n % 20, 'customer-' || n / 20 % 200, '=order-' || n / 4000, 1, gen_random_uuid(), 1, 1
      from generate_series(0, 19999) as n;
    insert into record_fill select 'tenant-' || n, 1, now(), 'infinity', n % 500 <> 7 from generate_series(0, 1999) as n;
    insert into record_history select 'tenant-' || n % 20, 1, 'customer-' || n / 20 % 200, '=order-' || n / 4000, 1, 1, now()
      from generate_series(0, 19999) as n;
    insert into usage_tally select md5('rule ' || n % 20)::uuid, 'customer-' || n / 20, timestamptz '${iso(start)}', 1, gen_random_uuid(), 1
      from generate_series(0, 19999) as n;
    insert into outbox (type, tenant_id, customer_id, payload, fanned_out_at, awaits)
      select 'usage.threshold', 'tenant-' || n % 20, 'customer-' || n / 20 % 200, '{}',
        case when n % 200 > 0 then now() - n * interval '21 seconds' end, case when n % 20000 = 0 then 1 end from generate_series(1, 30000) as n;
    insert into delivery (id, subscription_id, outbox_id, message_id, type, tenant_id, customer_id, state, created_at, pending_since, settled_at)
      select md5('delivery ' || id)::uuid, md5('subscription ' || id % 20)::uuid, id, message_id, type, tenant_id, customer_id,
        case when id % 41 = 0 then 'pending' when id % 43 = 0 then 'dead' else 'delivered' end,
        fanned_out_at, fanned_out_at, case when id % 41 > 0 then fanned_out_at end
      from outbox where fanned_out_at is not null;
    insert into delivery_attempt (delivery_id, status, duration_ms) select id, 204, 5 from delivery;
    insert into delivery_lane (subscription_id, customer_id, due_at, lease)
      select md5('subscription ' || n % 20)::uuid, 'customer-' || n / 20, now() + (n % 1440 - 720) * interval '1 minute',
        case when n % 100 = 0 then gen_random_uuid() end
      from generate_series(0, 19999) as n;
    insert into endpoint_health (subscription_id, failures) select md5('subscription ' || n)::uuid, 1 from generate_series(0, 1999) as n;
  `);
  if (engine === 'timescale') {
    for (const rollup of ['usage_30s', 'usage_1h', 'usage_1d', 'reference_1d']) {
      await sql.query(
        `call refresh_continuous_aggregate('${rollup}', '${iso(start)}', '${iso(end)}', options => '{"buckets_per_batch": 0}')`,
      );
    }
  }
  await sql.query('vacuum analyze');
  const day = start + DAY;
  const { rows } = await sql.query<{ outbox: string }>(
    `select min(outbox_id)::text as outbox from delivery where subscription_id = md5('subscription 1')::uuid`,
  );
  return {
    start: iso(start),
    day: iso(day),
    hour: iso(day + DAY / 24),
    next: iso(day + DAY),
    end: iso(end),
    uuid: (await sql.query(`select md5('event 1')::uuid as id`)).rows[0].id,
    subscription: (await sql.query(`select md5('subscription 1')::uuid as id`)).rows[0].id,
    outbox: rows[0]!.outbox,
  };
}

/** A statement with its placeholders filled in. */
export function fillIn(statement: string, values: Placeholders): string {
  return statement.replaceAll(/(?<!:):(start|day|hour|next|end|uuid|subscription|outbox)\b/g, (_, name) => {
    return values[name as keyof Placeholders];
  });
}

/** Runs `work` as the role and with the settings that the statement has in the service, and undoes what it did. */
export async function inContext<Result>(
  sql: pg.ClientBase,
  as: 'read' | undefined,
  work: () => Promise<Result>,
): Promise<Result> {
  await sql.query('begin; set local jit = off');
  try {
    if (as === 'read')
      await sql.query(`set local role tidemark_read; set local tidemark.tenant_id = 'tenant-1'`);
    return await work();
  } finally {
    await sql.query('rollback');
  }
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}

/**
 * The indexes that the plan of a statement uses, by the names that the migrations gave them. Those of chunks have the
 * chunk before it, and the one that TimescaleDB makes for each rollup is named after a number.
 */
export async function usedIndexes(sql: pg.ClientBase, statement: string): Promise<string[]> {
  const { rows } = await sql.query(`explain (format json) ${statement}`);
  const named = JSON.stringify(rows[0]).matchAll(
    /"(?:Index Name|Conflict Arbiter Indexes)":\s*\[?"([^"]+)"/g,
  );
  return [...named].map(([, name]) => migrationName(name!));
}

const ROLLUPS = ['usage_30s', 'usage_1h', 'usage_1d', 'reference_1d'];

/** The rollups are the hypertables 2 to 5: the migrations make them in this order, after `event`. */
export function migrationName(index: string): string {
  return index
    .replace(/^_hyper_\d+_\d+_chunk_/, '')
    .replace(/^_materialized_hypertable_(\d+)_/, (_, number) => `${ROLLUPS[Number(number) - 2]}_`);
}
