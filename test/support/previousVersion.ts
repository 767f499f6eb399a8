import { readdir } from 'node:fs/promises';
import { runner } from 'node-pg-migrate';
import pg from 'pg';
import { ensureRoles } from '../../src/ground/db/roles.ts';
import { MIGRATIONS } from '../../src/ground/db/schemaState.ts';
import { applyFunctions } from '../../src/ground/db/sqlFunctions.ts';
import { type ClientEvent, tokensOf } from './traffic.ts';

/** The migrations that the version before came with. */
const LANDED = 15;

const WINDOW = 30_000;
const iso = (ms: number) => new Date(ms).toISOString();
const floor = (ms: number, length: number) => Math.floor(ms / length) * length;

/**
 * Brings a schema up to just before a migration, with the functions of today: what a later version has left.
 *
 * @param name of the migration, without its extension.
 */
export async function migrateToBefore(client: pg.Client, name: string): Promise<void> {
  const names = (await readdir(MIGRATIONS)).filter((file) => file.endsWith('.js')).sort();
  const { rows } = await client.query('select count(*)::int as applied from schema_migration');
  await client.query('begin');
  await runner({
    dbClient: client,
    dir: MIGRATIONS,
    ignorePattern: 'support',
    direction: 'up',
    count: names.indexOf(`${name}.js`) - rows[0].applied,
    migrationsTable: 'schema_migration',
    noLock: true,
    singleTransaction: true,
    logger: { debug() {}, info() {}, warn() {}, error() {} },
  });
  await applyFunctions(client);
  await client.query('commit');
}

/**
 * The version before: its schema, and what it did to it, in its own statements. Not today's code, which knows of
 * today's schema.
 */
export class PreviousVersion {
  readonly client: pg.Client;
  private readonly timescale: boolean;

  private constructor(client: pg.Client, timescale: boolean) {
    this.client = client;
    this.timescale = timescale;
  }

  /**
   * @param url of an empty database.
   * @param since where its closed windows end, in ms.
   * @param migrations how many it came with.
   */
  static async install(url: string, since: number, migrations = LANDED): Promise<PreviousVersion> {
    const client = new pg.Client(url);
    await client.connect();
    await client.query('begin');
    await ensureRoles(client);
    await runner({
      dbClient: client,
      dir: MIGRATIONS,
      ignorePattern: 'support',
      direction: 'up',
      count: migrations,
      migrationsTable: 'schema_migration',
      noLock: true,
      singleTransaction: true,
      logger: { debug() {}, info() {}, warn() {}, error() {} },
    });
    await client.query(
      `update window_state set closed_until = $1, refreshed_30s = $1, refreshing_1h = $1, refreshed_1h = $1,
         refreshing_1d = $1, refreshed_1d = $1`,
      [iso(since)],
    );
    await client.query('update window_announcement set announced_until = $1', [iso(since)]);
    await client.query(`update window_coverage set covered_from = '-infinity', covered_until = $1`, [
      iso(since),
    ]);
    await client.query('commit');
    const { rows } = await client.query('select engine from installation');
    return new PreviousVersion(client, rows[0].engine === 'timescale');
  }

  /** One batch of its writer. */
  async write(tenantId: string, events: ClientEvent[], facts: object | null = null): Promise<void> {
    const { client } = this;
    await client.query('begin');
    await client.query('select enter_batch($1, interest_version) from window_state', [
      iso(Date.now() + 1e10),
    ]);
    const { rows } = await client.query(
      'select extract(epoch from closed_until) * 1000 as ms from window_state',
    );
    if (facts) await client.query('select write_messages($1)', [JSON.stringify(facts)]);
    await client.query('select register_customers($1)', [
      JSON.stringify(
        [...new Set(events.map((e) => e.customerId))].map((id) => ({ tenant_id: tenantId, external_id: id })),
      ),
    ]);
    await client.query('insert into event_identity (event_id, tenant_id) select unnest($1::uuid[]), $2', [
      events.map((e) => e.eventId),
      tenantId,
    ]);
    await client.query(
      `insert into event (ts, event_id, tenant_id, customer_id, event_type, endpoint, model, reference, value, tokens,
         input_tokens, output_tokens, latency_ms)
       select e.ts, e.event_id, $1, e.customer_id, e.event_type, e.endpoint, e.model, e.reference, e.value, e.tokens,
         e.input_tokens, e.output_tokens, e.latency_ms
       from jsonb_to_recordset($2) as e (ts timestamptz, event_id uuid, customer_id text, event_type text,
         endpoint text, model text, reference text, value numeric, tokens bigint, input_tokens bigint,
         output_tokens bigint, latency_ms double precision)`,
      [tenantId, JSON.stringify(events.map(rowOf))],
    );
    const late = new Map<
      string,
      { bucket: string; tenant_id: string; customer_id: string; references: boolean }
    >();
    for (const { timestamp, customerId, reference } of events) {
      const bucket = floor(Date.parse(timestamp), WINDOW);
      if (bucket >= Number(rows[0].ms)) continue;
      const key = `${bucket} ${customerId}`;
      const references = reference !== undefined || (late.get(key)?.references ?? false);
      late.set(key, { bucket: iso(bucket), tenant_id: tenantId, customer_id: customerId, references });
    }
    if (late.size > 0) {
      await client.query('select mark_late_windows($1)', [JSON.stringify([...late.values()])]);
    }
    await client.query('commit');
  }

  /** Closes the windows that end at or before a moment, refreshes what is whole, and tells of it. */
  async close(untilMs: number): Promise<void> {
    const { client } = this;
    const graceMs = Date.now() - untilMs - WINDOW / 2;
    const closed = await client.query(
      `select outcome from close_windows($1 * interval '1 millisecond', interval '1 second', interval '1 minute')`,
      [graceMs],
    );
    if (closed.rows[0].outcome !== 'won') throw new Error(`closing: ${closed.rows[0].outcome}`);
    if (this.timescale) {
      const { rows } = await client.query(
        `select refreshed_30s::text as from_30s, closed_until::text as to_30s,
           refreshed_1h::text as from_1h, date_bin('1 hour', closed_until, 'epoch')::text as to_1h,
           refreshed_1d::text as from_1d, date_bin('1 day', closed_until, 'epoch')::text as to_1d from window_state`,
      );
      for (const [rollup, level] of [
        ['usage_30s', '30s'],
        ['usage_1h', '1h'],
        ['usage_1d', '1d'],
        ['reference_1d', '1d'],
      ]) {
        const [from, to] = [rows[0][`from_${level}`], rows[0][`to_${level}`]];
        if (from < to) await this.refresh(rollup!, from, to);
      }
      await client.query(
        `update window_state set refreshed_30s = $1, refreshing_1h = $2, refreshed_1h = $2, refreshing_1d = $3,
           refreshed_1d = $3`,
        [rows[0].to_30s, rows[0].to_1h, rows[0].to_1d],
      );
    }
    while ((await client.query('select announce_closed_windows(1000) as more')).rows[0].more);
    while ((await client.query(`select more from cover_activity('1 day', 1000)`)).rows[0].more);
  }

  private async refresh(rollup: string, from: string, to: string): Promise<void> {
    await this.client.query(
      `call refresh_continuous_aggregate('${rollup}', refreshed_from('${from}'), '${to}'::timestamptz, force => true,
         options => '{"buckets_per_batch": 0}')`,
    );
  }

  /** Puts the oldest chunk of each relation that it packs into the columnstore. */
  async pack(): Promise<void> {
    if (!this.timescale) return;
    await this.client.query(
      `select compress_chunk(chunk::regclass) from (
         select distinct on (relation) chunk from retention_chunk
         where relation in ('event', 'usage_30s') order by relation, range_start) as oldest`,
    );
  }

  end(): Promise<void> {
    return this.client.end();
  }
}

function rowOf(event: ClientEvent) {
  const { metadata } = event;
  return {
    ts: event.timestamp,
    event_id: event.eventId,
    customer_id: event.customerId,
    event_type: event.eventType ?? 'api.request',
    endpoint: event.apiEndpoint,
    model: metadata.model,
    reference: event.reference,
    value: event.value,
    tokens: tokensOf(event),
    input_tokens: metadata.inputTokens,
    output_tokens: metadata.outputTokens,
    latency_ms: metadata.latencyMs,
  };
}
