import { setTimeout as sleep } from 'node:timers/promises';
import { SpanKind } from '@opentelemetry/api';
import type pg from 'pg';
import { JIT_OFF } from '../../ground/db/connections.ts';
import { sqlLiteral, textArray } from '../../ground/db/sqlLiteral.ts';
import { remedyFor } from '../../ground/db/sqlstate.ts';
import { inInnerSpan } from '../../ground/telemetry/spans.ts';
import type { UsageEvent } from '../../model/usageEvent.ts';
import { type Facts, factsOf } from '../../outbound/delivery/facts.ts';
import type { Interest, Listeners } from '../../outbound/delivery/interest.ts';
import { PART_COLUMNS, partsOf } from '../../sums/meters/feed/meterParts.ts';
import type { ClosedFrontier } from '../../sums/windows/closedFrontier.ts';
import type { Batch } from './batch.ts';
import type { ColumnsPath } from './columnsPath.ts';
import { type Consequences, consequencesOf, type LateWindows } from './consequences.ts';
import { CopyEncoder, type EventColumn } from './copyEncoding.ts';
import { CopyTransaction } from './copyTransaction.ts';
import type { CustomerRegistry } from './customerRegistry.ts';
import { type Identities, refuseUnmoved } from './identities.ts';
import { IdentityClaims, KEY_COLUMNS } from './identityClaims.ts';
import type { IngestMetrics } from './ingestMetrics.ts';
import { type Layout, layOut } from './layOut.ts';
import { PooledCopyTransaction } from './pooledCopyTransaction.ts';

export interface BatchTransactionOptions {
  /** Opens a connection for this writer alone. */
  connect(): Promise<pg.Client>;
  /** Whether that leads through a pooler. */
  pooled: boolean;
  registry: CustomerRegistry;
  frontier: ClosedFrontier;
  interest: Interest;
  identities: Identities;
  /** Whether events may go into columns. */
  columns: ColumnsPath;
  /** Keep tallies, and tell nobody: what is imported is not news. */
  quiet: boolean;
  metrics: IngestMetrics;
}

/** What a committed transaction did: `known` are the rows it found stored already. */
export interface Committed {
  stored: UsageEvent[];
  known: Set<UsageEvent> | null;
  /** Whether it had something to tell. */
  told: boolean;
}

/** One try at a transaction, and what can be said of it if its connection goes away before it answers. */
export interface Attempt {
  /** When it is given up, ms since the epoch. */
  readonly until: number;
  /** Its id, once the server has told it. */
  xid: string | null;
  /** What it has done if it has committed. Null before the commit was sent. */
  outcome: Committed | null;
}

/** The events of a batch, encoded. */
interface EncodedEvents {
  layout: Layout;
  /** The statements that take them, and their parts. */
  copies: string[];
  /** How many parts of meters they make. */
  parts: number;
}

/** The two ways to write a batch, told at BatchTransactions. */
export type Path = 'direct' | 'claiming';

const COPY_IDENTITY = `copy event_key (${KEY_COLUMNS.join(', ')}) from stdin (format binary)`;
/**
 * Ms that a COPY of keys waits for another transaction that has claimed one of them: two may wait in a circle, since the
 * order of keys in rows is not the same in both. The claiming path has one order, and no bound.
 */
const CLAIM_WAIT_MS = 100;
const WAIT_AS_BEFORE = 'set local lock_timeout to default';
const COPY_EVENT = (columns: readonly EventColumn[]) =>
  `copy event (${columns.join(', ')}) from stdin (format binary)`;
const COPY_PARTS = `copy meter_part (${PART_COLUMNS.join(', ')}) from stdin (format binary)`;
/**
 * From here to the end of the transaction COPY writes columns, or says by a WARNING that it does not. Not before the
 * extension is loaded, which `ColumnsPath.look` and `begin_batch` see to.
 */
const INTO_COLUMNS = `select concat(set_config('timescaledb.enable_direct_compress_copy', 'on', true),
  set_config('client_min_messages', 'warning', true))`;
/**
 * By names that the chunks had a while ago: 42P01 where one has gone since, and it stays for as long as this takes. The
 * hypertable first, as everybody else locks them. Within DO, since LOCK asks for a transaction block where it stands alone,
 * and what a pooler is sent has none.
 */
const LOCK_CHUNKS = (chunks: readonly string[]) =>
  `do $lock$ begin lock table only event, ${chunks.map((chunk) => `only ${chunk}`).join(', ')} in row exclusive mode; end $lock$`;
const INTO_ROWS = `select set_config('timescaledb.enable_direct_compress_copy', 'off', true)`;
/** For the transaction at hand, of whoever logged in. One column: two would be taken for those of `begin_batch`. */
const AS_INGEST = `select concat(set_config('role', 'tidemark_ingest', true), ${JIT_OFF})`;
const ENTER_BATCH = (openFrom: string, interest: string) =>
  `select (extract(epoch from closed_until) * 1000000)::bigint, xid from begin_batch(${openFrom}, ${interest})`;
/** The same, and from then on waits for locks are bounded. */
const ENTER_BRIEFLY = (openFrom: string, interest: string) =>
  ENTER_BATCH(openFrom, interest).replace(
    ', xid',
    `, xid, set_config('lock_timeout', '${CLAIM_WAIT_MS}ms', true)`,
  );

/**
 * The transactions that write batches, one at a time, on one connection.
 *
 * The direct path sends identities and events by COPY in a single round trip, on the guess that every id is new; a
 * duplicate makes it fail without a trace. The claiming path asks first: INSERT … ON CONFLICT DO NOTHING says which ids
 * are new, and only those events follow. What is done about a failure is the Writer's.
 */
export class BatchTransactions {
  private readonly options: BatchTransactionOptions;
  private readonly encoder = new CopyEncoder();
  private client: pg.Client | undefined;
  /** Whether the server has written rows in place of columns in the transaction at hand. */
  private fellBack = false;

  constructor(options: BatchTransactionOptions) {
    this.options = options;
  }

  /** One transaction. Its statements hold what the events say, so its span names none of them. */
  async write(path: Path, batch: Batch, attempt: Attempt): Promise<Committed> {
    const began = performance.now();
    await this.options.columns.look(await this.connected());
    const committed = await inInnerSpan(
      'COPY event',
      () => ({
        kind: SpanKind.CLIENT,
        attributes: {
          'db.system.name': 'postgresql',
          'db.operation.name': 'COPY',
          'db.collection.name': 'event',
          'tidemark.ingest.path': path,
          'tidemark.batch.rows': batch.rows.length,
        },
      }),
      () => (path === 'direct' ? this.writeDirectly(batch, attempt) : this.claimAndWrite(batch, attempt)),
    );
    this.options.metrics.transactionSeconds.observe({ path }, (performance.now() - began) / 1_000);
    return committed;
  }

  /** To see whether the database takes the rows of a batch: it claims and writes them, and leaves nothing. */
  async tryOut(batch: Batch, until: number): Promise<void> {
    await this.claimAndWrite(batch, { until, xid: null, outcome: null }, true);
  }

  /** Asks the database who listens. */
  async learnWhoListens(): Promise<void> {
    await this.options.interest.reload(await this.connected());
  }

  /**
   * Whether a transaction whose connection was lost has committed after all. False also when nobody can tell.
   *
   * Its id alone does not say: a server that has crashed, or the replica that took its place, gives the ids of
   * transactions of which nothing had reached the disk to others. So the rows have to be there, and to be its own.
   */
  async committed({ xid, outcome, until }: Attempt): Promise<boolean> {
    while (xid !== null && outcome !== null && Date.now() < until) {
      try {
        const client = await this.connected();
        const { rows } = await client.query('select pg_xact_status($1::text::xid8) as status', [xid]);
        if (rows[0].status === 'committed')
          return await this.options.identities.claimedBy(client, xid, outcome.stored);
        if (rows[0].status !== 'in progress') return false;
      } catch (error) {
        this.drop();
        if (remedyFor(error) !== 'reconnect') return false;
      }
      await sleep(50);
    }
    return false;
  }

  /** A chunk that was to get columns is gone. @returns whether another try will do without. */
  forgetChunks(): boolean {
    return this.options.columns.forgetChunks();
  }

  /** Gives up the connection, and the buffer that its socket may still hold. */
  drop(): void {
    this.client?.connection.stream.destroy();
    this.client = undefined;
    this.encoder.discard();
  }

  /** Ends the connection in order. */
  async close(): Promise<void> {
    const client = this.client;
    this.client = undefined;
    await client?.end().catch(() => undefined);
  }

  /**
   * The direct path. One round trip: (1) the lock and the check that open windows are open and that who listens is
   * known, (2) identities, (3) customers, (4) messages, (5) events and what they add to meters, (6) late windows,
   * (7) counters, then the implicit commit. Any of them failing undoes all.
   */
  private async writeDirectly(batch: Batch, attempt: Attempt): Promise<Committed> {
    const { frontier, registry, interest } = this.options;
    const listeners = interest.current;
    const consequences = consequencesOf(batch.rows, frontier.micros, registry);
    const facts = factsOf(batch.rows, listeners.tenants);
    const { keys, moved } = await this.options.identities.current(await this.connected());
    const { encoder } = this;
    encoder.reset();
    encoder.begin();
    new IdentityClaims(batch.rows, keys).deal((places, words) => encoder.appendKeys(places, words));
    encoder.end();
    const events = this.encodeEvents(batch.rows, listeners);
    const openFrom = Number.isFinite(consequences.openFromMicros)
      ? `'${new Date(consequences.openFromMicros / 1_000).toISOString()}'`
      : `'infinity'`;
    const statements = [
      AS_INGEST,
      ENTER_BRIEFLY(openFrom, listeners.version),
      ...(moved ? [] : [refuseUnmoved(batch.rows)]),
      COPY_IDENTITY,
      WAIT_AS_BEFORE,
      ...this.eventStatements(events.copies, consequences, facts),
    ];
    const outcome = { stored: batch.rows, known: null, told: facts !== null };
    attempt.outcome = outcome;
    await this.run(statements, attempt, (row) => this.entered(row, attempt));
    this.remember(events, consequences);
    return outcome;
  }

  /**
   * The claiming path, two round trips more: what is new and what is late is known before the events are sent.
   *
   * @param trial to see whether the database takes the rows, and leave nothing.
   */
  private async claimAndWrite(batch: Batch, attempt: Attempt, trial = false): Promise<Committed> {
    const { registry, interest, identities } = this.options;
    const listeners = interest.current;
    const client = await this.connected();
    try {
      let closedUntil = 0;
      this.encoder.reset();
      const entering = ['begin', AS_INGEST, ENTER_BATCH(`'infinity'`, listeners.version)];
      await this.run(entering, attempt, (row) => {
        closedUntil = this.entered(row, attempt);
      });
      const fresh = await identities.claimEach(client, batch.rows);
      const stored = batch.rows.filter((row) => fresh.has(row));
      const known = new Set(batch.rows.filter((row) => !fresh.has(row)));
      const consequences = consequencesOf(stored, closedUntil, registry);
      this.encoder.reset();
      const events = this.encodeEvents(stored, listeners);
      const facts = factsOf(stored, listeners.tenants);
      const statements = stored.length > 0 ? this.eventStatements(events.copies, consequences, facts) : [];
      const outcome = { stored, known: known.size > 0 ? known : null, told: facts !== null };
      if (trial) {
        await this.run([...statements, 'set constraints all immediate', 'rollback'], attempt);
        return outcome;
      }
      attempt.outcome = outcome;
      await this.run([...statements, 'commit'], attempt);
      this.remember(events, consequences);
      return outcome;
    } catch (error) {
      if (remedyFor(error) !== 'reconnect') await client.query('rollback').catch(() => this.drop());
      throw error;
    }
  }

  /**
   * Encodes what goes into columns, then what goes into rows: in this order in every batch. The first columns of a chunk,
   * and the first row beside them, change its row in the catalog, and two batches that came the other way round would wait
   * for each other. What they add to meters comes last.
   */
  private encodeEvents(rows: UsageEvent[], { series }: Listeners): EncodedEvents {
    const layout = layOut(rows, this.options.columns.rule);
    const copies = layout.columns.map((part) => this.encodeCopy(part));
    if (copies.length > 0) copies.unshift(LOCK_CHUNKS(layout.chunks), INTO_COLUMNS);
    if (layout.rows.length > 0) {
      if (copies.length > 0) copies.push(INTO_ROWS);
      copies.push(this.encodeCopy(layout.rows));
    }
    const parts = partsOf(rows, series);
    if (parts.length > 0) {
      this.encoder.begin();
      for (const part of parts) this.encoder.appendPart(part);
      this.encoder.end();
      copies.push(COPY_PARTS);
    }
    return { layout, copies, parts: parts.length };
  }

  private encodeCopy(rows: UsageEvent[]): string {
    const columns = this.encoder.beginEvents(rows);
    for (const row of rows) this.encoder.appendEvent(row);
    this.encoder.end();
    return COPY_EVENT(columns);
  }

  /** Messages come before the events: what is stored by then is what there was before this batch. */
  private eventStatements(
    copies: string[],
    { newCustomers, lateWindows, counterSums, idempotentIncrements }: Consequences,
    facts: Facts | null,
  ): string[] {
    const statements = [...copies];
    if (facts !== null) {
      const told = this.options.quiet ? { ...facts, ready: [], quiet: true } : facts;
      statements.unshift(`select write_messages(${jsonLiteral(told)})`);
    }
    if (newCustomers.length > 0)
      statements.unshift(`select register_customers(${jsonLiteral(newCustomers)})`);
    if (lateWindows.numbers.length > 0) statements.push(reviseWindows(lateWindows));
    if (counterSums.length > 0) {
      statements.push(
        `select add_to_counters(${jsonLiteral(counterSums)}, ${jsonLiteral(idempotentIncrements)})`,
      );
    }
    return statements;
  }

  /** Notes the row that begin_batch returned. */
  private entered(row: (string | null)[], attempt: Attempt): number {
    if (row.length < 2) return this.options.frontier.micros; // of another statement
    const closedUntil = Number(row[0]);
    this.options.frontier.advance(closedUntil);
    attempt.xid = row[1] ?? null;
    return closedUntil;
  }

  private remember({ layout, parts }: EncodedEvents, { newCustomers, lateEvents }: Consequences): void {
    const { metrics } = this.options;
    const { columns, rows, lacksChunk } = layout;
    metrics.meterParts.inc(parts);
    if (lacksChunk) this.options.columns.lacked();
    const inColumns = columns.reduce((sum, part) => sum + part.length, 0);
    metrics.eventRows.inc({ path: 'columns' }, this.fellBack ? 0 : inColumns);
    metrics.eventRows.inc({ path: 'rows' }, this.fellBack ? inColumns + rows.length : rows.length);
    metrics.lateEvents.inc(lateEvents);
    for (const customer of newCustomers) {
      this.options.registry.remember(customer.tenant_id, customer.external_id);
    }
  }

  /** Sends the statements, and what has been encoded to the COPYs among them. */
  private async run(
    statements: string[],
    { until }: Attempt,
    onRow?: (row: (string | null)[]) => void,
  ): Promise<void> {
    const client = await this.connected();
    this.fellBack = false;
    const transaction = this.options.pooled
      ? new PooledCopyTransaction(statements, this.encoder.takeEach(), onRow)
      : new CopyTransaction(statements.join(';\n'), this.encoder.take(), onRow);
    const timer = setTimeout(() => client.connection.stream.destroy(), Math.max(0, until - Date.now()));
    try {
      client.query(transaction);
      await transaction.done;
    } finally {
      clearTimeout(timer);
    }
  }

  private async connected(): Promise<pg.Client> {
    if (this.client) return this.client;
    const client = await this.options.connect();
    client.on('notice', (notice) => {
      if (this.options.columns.hear(notice)) this.fellBack = true;
    });
    this.client = client;
    return client;
  }
}

/** As arrays: history has a window for nearly every row, of which JSON would be most of what is sent. */
function reviseWindows(late: LateWindows): string {
  const { numbers, withReferences, events, tokens, inputTokens, outputTokens, values } = late;
  const plain = [numbers, withReferences, events, tokens, inputTokens, outputTokens, values];
  return `select revise_windows(${textArray(late.tenants)}, ${textArray(late.customers)}, ${plain.map((list) => `'{${list}}'`)})`;
}

/** JSON as an SQL literal. JSON text has no NUL. */
function jsonLiteral(value: unknown): string {
  return sqlLiteral(JSON.stringify(value));
}
