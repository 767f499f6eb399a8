/** What an index is for. */
export interface IndexQuery {
  index: string;
  /** Who asks, in words: a route or a part of the service. */
  serves: string;
  /** What is asked, as the service does. Left out where no query of ours needs the index. */
  sql?: string;
  /** `read`: as the role that sees the views, for tenant-1. */
  as?: 'read';
  /** Where there is no such index on the other engine. */
  only?: 'postgres' | 'timescale';
}

const usageBetween = (level: string, from: string, to: string, more = '') =>
  `select bucket, customer_id, endpoint, model, calls, tokens from tenant_data.usage_${level}
where tenant_id = 'tenant-1' and bucket >= '${from}' and bucket < '${to}'${more}`;
const CUSTOMER = ` and customer_id = 'customer-7'`;

const LEVEL_NAMES: Record<string, string> = { '30s': 'windows', '1h': 'hours', '1d': 'days' };

/**
 * Every index of the schema, with the statement that needs it. docs/data-model.md is made of this (npm run docs:plans)
 * and a test holds the schema and the plans against it. `:day` is a moment with a day of events after it, `:uuid` an id
 * that is there, `:subscription` that of a subscription with deliveries, `:outbox` the id of its first message.
 */
export const INDEX_QUERIES: IndexQuery[] = [
  // Events
  {
    index: 'event_customer',
    serves:
      '`GET /v1/events?customerId=`, `GET /v1/records?destinationId=`, and late windows, read from their events',
    as: 'read',
    sql: `select ts, event_id, event_type, tokens from tenant_data.event
where tenant_id = 'tenant-1' and customer_id = 'customer-7' and ts >= ':day' and ts < ':day'::timestamptz + interval '1 hour'`,
  },
  {
    index: 'event_ts',
    serves: 'refreshes; `GET /v1/events` of all customers, where the tenant has much of the traffic',
    sql: `select tenant_id, customer_id, event_type, count(*), sum(tokens) from event
where ts >= ':day' and ts < ':day'::timestamptz + interval '30 seconds' group by 1, 2, 3`,
  },
  {
    index: 'event_reference',
    serves: '`GET /v1/events?reference=`, and days of `GET /v1/sessions/{id}` that reference_1d lacks',
    as: 'read',
    sql: `select ts, event_id, customer_id, value from tenant_data.event
where tenant_id = 'tenant-1' and reference = 'order-7' and ts >= ':day' and ts < ':day'::timestamptz + interval '1 day'`,
  },
  ...Array.from(
    { length: 7 },
    (_, slot): IndexQuery => ({
      index: `event_key_${slot}`,
      serves: `the dedup of the keys of slot ${slot}: a COPY fails on it; \`known_event\``,
      sql: `select from event_key where key_${slot} = ':uuid'`,
    }),
  ),
  {
    index: 'event_identity_pkey',
    serves: 'ids counted before there was event_key, until they are moved',
  },
  {
    index: 'counter_pkey',
    serves: '`GET /v1/counters/{key}`, and increments',
    as: 'read',
    sql: `select key, value, updated_at from tenant_data.counter where tenant_id = 'tenant-1' and key = 'key-7'`,
  },
  {
    index: 'idempotent_increment_pkey',
    serves: 'telling a retry of an increment from another request under its key',
    as: 'read',
    sql: `select key, value from tenant_data.idempotent_increment where tenant_id = 'tenant-1' and event_id = ':uuid'`,
  },
  {
    index: 'correction_pkey',
    serves: 'what a correction was: of the events and revisions that name it',
  },
  {
    index: 'uncounted_event_pkey',
    serves:
      'corrections, `GET /v1/events/{eventId}`, and duplicates: whether an id is void, and its versions',
  },
  {
    index: 'uncounted_event_ts',
    serves: '`GET /v1/events`: those that are void; removing them',
  },
  {
    index: 'correction_event_pkey',
    serves: 'the events of a correction, once each',
  },
  {
    index: 'correction_event_of',
    serves: '`GET /v1/events/{eventId}`: what was done to it',
  },
  {
    index: 'correction_event_window',
    serves: 'the events of a revision that a correction made',
  },
  {
    index: 'backfill_pkey',
    serves: 'one backfill, and its state while events are posted to it',
  },
  {
    index: 'backfill_tenant',
    serves: '`GET /v1/backfills`',
  },
  {
    index: 'backfill_staged',
    serves: 'whether a new backfill overlaps another one',
  },
  {
    index: 'staged_event_pkey',
    serves: 'the events of a backfill, each once',
  },
  {
    index: 'staged_event_ts',
    serves: 'removing staged events of old times',
  },
  {
    index: 'window_revision_pkey',
    serves: '`GET /v1/windows/history`, `/v1/windows/history/counts`',
  },

  // Rollups
  ...['30s', '1h', '1d'].flatMap((level): IndexQuery[] => [
    {
      index: `usage_${level}_customer`,
      serves:
        level === '30s'
          ? '`GET /v1/windows?customerId=`, `/v1/usage?customerId=`; upserts of the trigger (postgres)'
          : `\`GET /v1/usage?customerId=\`, for whole ${level === '1h' ? 'hours' : 'days'}`,
      as: 'read',
      sql: usageBetween(
        level,
        level === '30s' ? ':day' : ':start',
        level === '30s' ? ':hour' : ':end',
        CUSTOMER,
      ),
    },
    {
      index: `usage_${level}_tenant`,
      serves:
        level === '30s'
          ? '`GET /v1/windows`, `/v1/usage`'
          : `\`GET /v1/usage\`, for whole ${level === '1h' ? 'hours' : 'days'}`,
      as: 'read',
      sql: usageBetween(level, ':start', ':next'),
    },
  ]),
  {
    index: 'usage_30s_bucket_idx',
    only: 'timescale',
    serves: 'bringing windows of all tenants into the activity tables (made by TimescaleDB)',
    sql: `select tenant_id, bucket, customer_id, event_type, calls from usage_30s
where bucket >= ':day' and bucket < ':day'::timestamptz + interval '1 minute'`,
  },
  ...['usage_1h', 'usage_1d', 'reference_1d'].map((rollup): IndexQuery => {
    return { index: `${rollup}_bucket_idx`, only: 'timescale', serves: 'refreshes (made by TimescaleDB)' };
  }),
  {
    index: 'reference_1d_reference',
    only: 'timescale',
    serves: '`GET /v1/sessions/{id}`',
    as: 'read',
    sql: `select customer_id, event_type, events, value_sum from tenant_data.reference_1d
where tenant_id = 'tenant-1' and reference = 'order-7'`,
  },
  {
    index: 'reference_1d_pkey',
    only: 'postgres',
    serves: '`GET /v1/sessions/{id}`; upserts of the trigger',
    as: 'read',
    sql: `select customer_id, event_type, events, value_sum from tenant_data.reference_1d
where tenant_id = 'tenant-1' and reference = 'order-7'`,
  },
  {
    index: 'activity_calls_pkey',
    serves: '`GET /v1/summaries/hourly` and `/daily`: events by type',
    as: 'read',
    sql: `select bucket, event_type, calls from tenant_data.activity_calls
where tenant_id = 'tenant-1' and level = '1h' and bucket >= ':day' and bucket < ':next'`,
  },
  {
    index: 'activity_customer_pkey',
    serves: 'the same: which of the customers that are active now have been counted',
    as: 'read',
    sql: `select count(*) from tenant_data.activity_customer
where tenant_id = 'tenant-1' and level = '1h' and bucket = ':day' and customer_id = any ('{customer-7,customer-8}')`,
  },
  {
    index: 'activity_users_pkey',
    serves: 'the same: how many customers',
    as: 'read',
    sql: `select bucket, users from tenant_data.activity_users
where tenant_id = 'tenant-1' and level = '1h' and bucket >= ':day' and bucket < ':next'`,
  },

  // Meters
  {
    index: 'meter_pkey',
    serves: 'a meter by its id',
    as: 'read',
    sql: `select slug, series_id from tenant_data.meter where tenant_id = 'tenant-7' and id = md5('meter 7')::uuid`,
  },
  {
    index: 'meter_slug',
    serves: 'a meter by its slug; two live ones never have the same',
    as: 'read',
    sql: `select id, series_id from tenant_data.meter where tenant_id = 'tenant-1' and slug = 'slug_1' and archived_at is null`,
  },
  {
    index: 'meter_age',
    serves: '`GET /v1/meters`',
    as: 'read',
    sql: `select id, slug from tenant_data.meter where tenant_id = 'tenant-1' order by created_at, id limit 101`,
  },
  {
    index: 'price_pkey',
    serves: 'a price by its id',
    sql: `select model, input from price where tenant_id = 'tenant-7' and id = md5('price 7')::uuid`,
  },
  {
    index: 'price_age',
    serves: '`GET /v1/prices`; the prices of a version',
    as: 'read',
    sql: `select model, input from tenant_data.price where tenant_id = 'tenant-1' and version <= 7 and (superseded_in is null or superseded_in > 7)`,
  },
  {
    index: 'price_model',
    serves: 'what a model costs now, when a sum of an alert rule begins',
    sql: `select model, input from price where tenant_id = 'tenant-1' and superseded_in is null and model = any ('{m,mo,model,model-7}')`,
  },
  { index: 'price_list_pkey', serves: 'the version of the list of prices that an answer is by' },
  {
    index: 'meter_series_of',
    serves: 'retiring series that no meter reads any more',
    sql: `select from meter where series_id = 7 and archived_at is null`,
  },
  {
    index: 'meter_series_pkey',
    serves: 'a series by its id',
    sql: `select filled_from, fill_floor from meter_series where id = 7`,
  },
  {
    index: 'meter_series_live',
    serves: 'the live series of a definition, which a tenant has once',
    sql: `select id from meter_series where tenant_id = 'tenant-7' and digest = sha256('7') and retired_at is null`,
  },
  {
    index: 'meter_part_bucket',
    serves: 'reads of windows that are not folded, folding, filling',
    as: 'read',
    sql: `select bucket, sum(events), sum(sum) from tenant_data.meter_part
where tenant_id = 'tenant-1' and series_id = 1 and bucket >= ':day' and bucket < ':hour' group by bucket`,
  },
  { index: 'meter_fold_pkey', serves: 'one row at most' },
  ...['30s', '1h', '1d'].flatMap((level): IndexQuery[] => [
    {
      index: `meter_${level}_customer`,
      serves: `${LEVEL_NAMES[level]} of one customer, or of all together; upserts of folds and fills`,
      as: 'read',
      sql: `select bucket, sum(sum) from tenant_data.meter_${level}
where tenant_id = 'tenant-1' and series_id = 1 and customer_id = '' and bucket >= ':start' and bucket < ':end' group by bucket`,
    },
    {
      index: `meter_${level}_bucket`,
      serves: `${LEVEL_NAMES[level]} by customer; what is no longer kept (postgres)`,
      as: 'read',
      sql: `select customer_id, sum(sum) from tenant_data.meter_${level}
where tenant_id = 'tenant-1' and series_id = 1 and bucket = ':day' group by customer_id`,
    },
  ]),

  // Windows
  {
    index: 'late_window_pkey',
    serves: 'revisions of windows of a customer; marking a window late',
    as: 'read',
    sql: `select bucket, revision, stale from tenant_data.late_window
where tenant_id = 'tenant-1' and customer_id = 'customer-7' and bucket >= ':day' and bucket < ':hour'`,
  },
  {
    index: 'late_window_tenant',
    serves: 'revisions of windows of a tenant',
    as: 'read',
    sql: `select bucket, customer_id, revision, stale from tenant_data.late_window
where tenant_id = 'tenant-1' and bucket >= ':day' and bucket < ':hour'`,
  },
  {
    index: 'late_window_stale',
    serves: 'every summary: which windows the rollups lack; what the refresher has to do',
    as: 'read',
    sql: `select distinct bucket from tenant_data.late_window
where tenant_id = 'tenant-1' and bucket > ':day' and bucket < ':next' and stale`,
  },
  {
    index: 'late_window_stale_references',
    serves: 'the refresher: days that reference_1d lacks',
    sql: `select distinct date_bin('1 day', bucket, 'epoch'::timestamptz) from late_window
where stale_references and bucket < ':next'`,
  },
  {
    index: 'late_window_revised',
    serves: '`GET /v1/windows?closedAfter=`: what has changed since',
    as: 'read',
    sql: `select bucket, customer_id, revision from tenant_data.late_window
where tenant_id = 'tenant-1' and revised_at > now() - interval '30 seconds' and revised_at <= now()`,
  },
  {
    index: 'late_window_activity',
    serves:
      '`GET /v1/summaries`, revisions of meters: windows that the activity tables lack; bringing them in',
    as: 'read',
    sql: `select bucket, customer_id, lacking from tenant_data.activity_lacking
where tenant_id = 'tenant-1' and bucket >= ':day' and bucket < ':next'`,
  },
  {
    index: 'late_window_sum_pkey',
    serves: '`GET /v1/meters/{slug}/query`: revisions of all customers, or of some, over a long time',
    as: 'read',
    sql: `select bucket, revision from tenant_data.late_window_sum
where tenant_id = 'tenant-1' and customer_id = '' and bucket >= ':day' and bucket < ':next'`,
  },
  {
    index: 'late_window_sum_bucket',
    serves: 'the same of each customer',
    as: 'read',
    sql: `select bucket, customer_id, revision from tenant_data.late_window_sum
where tenant_id = 'tenant-1' and customer_id <> '' and bucket >= ':day' and bucket < ':next'`,
  },
  {
    index: 'window_closing_pkey',
    serves: '`GET /v1/windows?closedAfter=`, `asOf=`: how far windows were closed then',
    as: 'read',
    sql: `select closed_until from tenant_data.window_closing where closed_at <= ':day' order by closed_at desc limit 1`,
  },
  { index: 'window_state_pkey', serves: 'one row at most' },
  { index: 'window_coverage_pkey', serves: 'one row at most' },
  { index: 'late_window_summed_pkey', serves: 'one row at most' },
  { index: 'refresh_lease_pkey', serves: 'one row at most' },
  { index: 'usage_fold_pkey', only: 'postgres', serves: 'one row at most' },
  { index: 'window_announcement_pkey', serves: 'one row at most' },
  { index: 'installation_pkey', serves: 'one row at most' },
  { index: 'identity_move_pkey', serves: 'one row at most' },
  { index: 'retention_pkey', serves: 'one row per relation that is kept for a time' },
  { index: 'schema_migration_pkey', serves: 'which migrations have been applied' },
  { index: 'sql_function_pkey', serves: 'one row per function of the database' },

  // Tenancy
  {
    index: 'tenant_pkey',
    serves: 'a tenant by its id, with its limits',
    sql: `select active, requests_per_second, events_per_second from tenant where id = 'tenant-7'`,
  },
  {
    index: 'customer_pkey',
    serves: '`GET /v1/customers`; registering customers',
    as: 'read',
    sql: `select external_id, name from tenant_data.customer
where tenant_id = 'tenant-1' order by external_id collate "C" limit 101`,
  },
  {
    index: 'api_key_secret_hash_key',
    serves: 'every request whose key is not known to the instance',
    sql: `select id, tenant_id, scopes, expires_at, revoked_at from api_key where secret_hash = sha256('key 7')`,
  },
  {
    index: 'api_key_pkey',
    serves: 'revoking and rotating a key',
    sql: `select id, revoked_at from api_key where id = md5('key 7')::uuid for update`,
  },
  {
    index: 'api_key_tenant',
    serves: '`GET /v1/keys` of a tenant',
    sql: `select id, scopes, created_at from api_key where tenant_id = 'tenant-1' order by created_at`,
  },
  { index: 'api_key_replaces_key', serves: 'a key is replaced by one key at most' },
  { index: 'api_key_replaced_by_key', serves: 'a key replaces one key at most' },
  {
    index: 'portal_token_secret_hash_key',
    serves: 'every request whose portal token is not known to the instance',
    sql: `select p.id, p.tenant_id, p.customer_id, least(p.expires_at, k.expires_at)
from portal_token p left join api_key k on k.id = p.key_id where p.secret_hash = sha256('token 7')`,
  },
  {
    index: 'portal_token_pkey',
    serves: 'revoking a portal token',
    sql: `select id, revoked_at from portal_token where tenant_id = 'tenant-7' and id = md5('token 7')::uuid for update`,
  },
  {
    index: 'portal_token_customer',
    serves: '`GET /v1/portal-tokens` of a tenant, or of a customer',
    sql: `select id, meters, created_at from portal_token where tenant_id = 'tenant-1' and customer_id = 'customer-1'`,
  },
  {
    index: 'portal_token_expires',
    serves: 'the housekeeper: tokens that ended 30 days ago',
    sql: `select id from portal_token where expires_at < timestamptz ':start' - interval '30 days' order by expires_at limit 5000`,
  },
  { index: 'audit_log_pkey', serves: 'an entry has one id' },
  {
    index: 'audit_log_at',
    serves: '`GET /v1/audit-log` for the platform',
    sql: `select * from audit_log where at >= ':day' and at < ':next' order by at desc, id desc limit 101`,
  },
  {
    index: 'audit_log_tenant',
    serves: '`GET /v1/audit-log` for a tenant',
    as: 'read',
    sql: `select * from tenant_data.audit_log
where tenant_id = 'tenant-1' and at >= ':start' and at < ':end' order by at desc, id desc limit 101`,
  },

  // Messages
  {
    index: 'subscription_pkey',
    serves: 'a subscription by its id',
    sql: `select url, stream from subscription where tenant_id = 'tenant-1' and id = ':subscription' and deleted_at is null`,
  },
  {
    index: 'subscription_tenant',
    serves: '`GET /v1/subscriptions`; to whom a message goes',
    sql: `select id, url, stream from subscription where tenant_id = 'tenant-1' and deleted_at is null`,
  },
  {
    index: 'alert_rule_pkey',
    serves: 'a rule by its id',
    sql: `select id, threshold from alert_rule where tenant_id = 'tenant-1' and id = md5('rule 7')::uuid`,
  },
  {
    index: 'alert_rule_tenant',
    serves: '`GET /v1/alert-rules`',
    sql: `select id, threshold from alert_rule where tenant_id = 'tenant-7'`,
  },
  {
    index: 'tally_state_pkey',
    serves: 'whether tallies are kept for a tenant',
    sql: `select * from tally_state where tenant_id = 'tenant-7'`,
  },
  {
    index: 'record_tally_pkey',
    serves: 'the records so far of a destination and reference',
    sql: `select count, total from record_tally
where tenant_id = 'tenant-1' and customer_id = 'customer-7' and reference_key = '=order-7'`,
  },
  {
    index: 'record_history_pkey',
    serves: 'the records of a destination and reference from before somebody listened',
    sql: `select count, total from record_history
where tenant_id = 'tenant-1' and epoch = 1 and customer_id = 'customer-7' and reference_key = '=order-7'`,
  },
  {
    index: 'record_fill_pkey',
    serves: 'whether those have been added up',
    sql: `select whole from record_fill where tenant_id = 'tenant-7' and epoch = 1`,
  },
  {
    index: 'record_fill_unfinished',
    serves: 'the housekeeper: those that have not',
    sql: `select * from record_fill where not whole order by filled_to, received_before limit 1`,
  },
  {
    index: 'usage_tally_pkey',
    serves: 'what a customer has used in a period of a rule',
    sql: `select total, crossed from usage_tally
where rule_id = md5('rule 7')::uuid and customer_id = 'customer-7' and period_start = ':start'`,
  },
  {
    index: 'outbox_pkey',
    serves: 'the message of a delivery',
    sql: `select payload from outbox where id = :outbox`,
  },
  {
    index: 'outbox_waiting',
    serves: 'messages of which no deliveries have been made, counted',
    sql: `select count(*) from (select from outbox where fanned_out_at is null limit 10000) as o`,
  },
  {
    index: 'outbox_ready',
    serves: 'the relay: those that wait for nothing but transactions under way',
    sql: `select id from outbox where fanned_out_at is null and awaits is null order by id limit 500`,
  },
  {
    index: 'outbox_awaiting',
    serves:
      'the relay: those that wait for earlier records to be added up, and whom of the same customer they hold back',
    sql: `select id from outbox ahead
where awaits is not null and tenant_id = 'tenant-1' and customer_id = 'customer-7' and id < :outbox`,
  },
  {
    index: 'outbox_fanned_out',
    serves: 'pruning messages',
    sql: `select o.id from outbox o
where o.fanned_out_at < now() - interval '7 days' and not exists (select from delivery d where d.outbox_id = o.id)
order by o.fanned_out_at limit 2000`,
  },
  {
    index: 'delivery_pkey',
    serves: 'a delivery by its id',
    sql: `select state, attempts from delivery where id = md5('delivery 7')::uuid`,
  },
  {
    index: 'delivery_head',
    serves: 'the relay: the first pending delivery of a lane',
    sql: `select id from delivery
where subscription_id = ':subscription' and customer_id = 'customer-7' and state = 'pending' order by outbox_id limit 1`,
  },
  {
    index: 'delivery_list',
    serves: '`GET /v1/subscriptions/{id}/deliveries`',
    sql: `select id, state, attempts from delivery
where tenant_id = 'tenant-1' and subscription_id = ':subscription' order by created_at desc, id desc limit 101`,
  },
  {
    index: 'delivery_dead',
    serves: 'the same with `state=dead`; redelivering them',
    sql: `select id, attempts, last_error from delivery
where subscription_id = ':subscription' and state = 'dead' order by created_at, id limit 1000`,
  },
  {
    index: 'delivery_settled',
    serves: 'pruning deliveries',
    sql: `select id from delivery where state = 'delivered' and settled_at < now() - interval '7 days' limit 2000`,
  },
  {
    index: 'delivery_waiting',
    serves: 'giving up what has been pending for too long',
    sql: `select id from delivery where state = 'pending' and pending_since < now() - interval '7 days' limit 1000`,
  },
  {
    index: 'delivery_outbox',
    serves: 'pruning messages: is one still referred to?',
    sql: `select from delivery where outbox_id = :outbox limit 1`,
  },
  { index: 'delivery_attempt_pkey', serves: 'an attempt has one id' },
  {
    index: 'delivery_attempt_delivery',
    serves: 'the attempts of a delivery, the last ones first',
    sql: `select at, status, error from delivery_attempt where delivery_id = md5('delivery 7')::uuid order by id desc limit 10`,
  },
  {
    index: 'delivery_lane_pkey',
    serves: 'a lane of a customer',
    sql: `select lease from delivery_lane where subscription_id = ':subscription' and customer_id = 'customer-7'`,
  },
  {
    index: 'delivery_lane_due',
    serves: 'the relay: lanes that are due',
    sql: `select customer_id from delivery_lane
where subscription_id = ':subscription' and due_at <= now() order by due_at limit 8`,
  },
  {
    index: 'delivery_lane_leased',
    serves: 'the relay: how many lanes of an endpoint are being sent',
    sql: `select count(*) from delivery_lane where subscription_id = ':subscription' and lease is not null and due_at > now()`,
  },
  {
    index: 'endpoint_health_pkey',
    serves: 'whether an endpoint is left alone',
    sql: `select failures, probe_at from endpoint_health where subscription_id = ':subscription'`,
  },
];
