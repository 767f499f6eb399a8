import { setTimeout as sleep } from 'node:timers/promises';
import { SpanKind } from '@opentelemetry/api';
import pg from 'pg';
import { JIT_OFF } from '../../ground/db/connections.ts';
import { remedyFor } from '../../ground/db/sqlstate.ts';
import { inInnerSpan } from '../../ground/telemetry/spans.ts';
import type { UsageEvent } from '../../model/usageEvent.ts';
import { type Facts, factsOf } from '../../outbound/delivery/facts.ts';
import type { Interest } from '../../outbound/delivery/interest.ts';
import type { ClosedFrontier } from '../../sums/windows/closedFrontier.ts';
import { type Batch, type Consequences, consequencesOf, identityKey } from './batch.ts';
import { CopyEncoder, EVENT_COLUMNS, IDENTITY_COLUMNS } from './copyEncoding.ts';
import { CopyTransaction } from './copyTransaction.ts';
import type { CustomerRegistry } from './customerRegistry.ts';
import type { IngestMetrics } from './ingestMetrics.ts';
import { PooledCopyTransaction } from './pooledCopyTransaction.ts';

export interface BatchTransactionOptions {
  /** Opens a connection for this writer alone. */
  connect(): Promise<pg.Client>;
  /** Whether that leads through a pooler. */
  pooled: boolean;
  registry: CustomerRegistry;
  frontier: ClosedFrontier;
  interest: Interest;
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

/** The two ways to write a batch, told at BatchTransactions. */
export type Path = 'direct' | 'claiming';

const COPY_IDENTITY = `copy event_identity (${IDENTITY_COLUMNS.join(', ')}) from stdin (format binary)`;
const COPY_EVENT = `copy event (${EVENT_COLUMNS.join(', ')}) from stdin (format binary)`;
/** For the transaction at hand, of whoever logged in. One column: two would be taken for those of `enter_batch`. */
const AS_INGEST = `select concat(set_config('role', 'tidemark_ingest', true), ${JIT_OFF})`;
const ENTER_BATCH = (openFrom: string, interest: string) =>
  `select (extract(epoch from closed_until) * 1000000)::bigint, xid from enter_batch(${openFrom}, ${interest})`;

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

  constructor(options: BatchTransactionOptions) {
    this.options = options;
  }

  /** One transaction. Its statements hold what the events say, so its span names none of them. */
  async write(path: Path, batch: Batch, attempt: Attempt): Promise<Committed> {
    const began = performance.now();
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
        if (rows[0].status === 'committed') return await this.wrote(client, xid, outcome.stored);
        if (rows[0].status !== 'in progress') return false;
      } catch (error) {
        this.drop();
        if (remedyFor(error) !== 'reconnect') return false;
      }
      await sleep(50);
    }
    return false;
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
   * known, (2) identities, (3) customers, (4) messages, (5) events, (6) late windows, (7) counters, then the implicit
   * commit. Any of them failing undoes all.
   */
  private async writeDirectly(batch: Batch, attempt: Attempt): Promise<Committed> {
    const { frontier, registry, interest } = this.options;
    const listeners = interest.current;
    const consequences = consequencesOf(batch.rows, frontier.micros, registry);
    const facts = factsOf(batch.rows, listeners.tenants);
    const { encoder } = this;
    encoder.reset();
    encoder.begin();
    for (const row of batch.rowsByIdentity()) encoder.appendIdentity(row);
    encoder.end();
    this.encodeEvents(batch.rows);
    const openFrom = Number.isFinite(consequences.openFromMicros)
      ? `'${new Date(consequences.openFromMicros / 1_000).toISOString()}'`
      : `'infinity'`;
    const statements = [
      AS_INGEST,
      ENTER_BATCH(openFrom, listeners.version),
      COPY_IDENTITY,
      ...this.eventStatements(consequences, facts),
    ];
    const outcome = { stored: batch.rows, known: null, told: facts !== null };
    attempt.outcome = outcome;
    await this.run(statements, attempt, (row) => this.entered(row, attempt));
    this.remember(consequences);
    return outcome;
  }

  /**
   * The claiming path, two round trips more: what is new and what is late is known before the events are sent.
   *
   * @param trial to see whether the database takes the rows, and leave nothing.
   */
  private async claimAndWrite(batch: Batch, attempt: Attempt, trial = false): Promise<Committed> {
    const { registry, interest } = this.options;
    const listeners = interest.current;
    const client = await this.connected();
    try {
      let closedUntil = 0;
      this.encoder.reset();
      const entering = ['begin', AS_INGEST, ENTER_BATCH(`'infinity'`, listeners.version)];
      await this.run(entering, attempt, (row) => {
        closedUntil = this.entered(row, attempt);
      });
      const rows = batch.rowsByIdentity();
      const claimed = await client.query<{ event_id: string; tenant_id: string }>(
        `insert into event_identity (event_id, tenant_id)
         select * from unnest($1::uuid[], $2::text[])
         on conflict do nothing
         returning event_id, tenant_id`,
        [rows.map((row) => row.eventId), rows.map((row) => row.tenantId)],
      );
      const fresh = new Set(
        claimed.rows.map((row) => identityKey({ eventId: row.event_id, tenantId: row.tenant_id })),
      );
      const stored = batch.rows.filter((row) => fresh.has(identityKey(row)));
      const known = new Set(batch.rows.filter((row) => !fresh.has(identityKey(row))));
      const consequences = consequencesOf(stored, closedUntil, registry);
      this.encoder.reset();
      if (stored.length > 0) this.encodeEvents(stored);
      const facts = factsOf(stored, listeners.tenants);
      const statements = stored.length > 0 ? this.eventStatements(consequences, facts) : [];
      const outcome = { stored, known: known.size > 0 ? known : null, told: facts !== null };
      if (trial) {
        await this.run([...statements, 'set constraints all immediate', 'rollback'], attempt);
        return outcome;
      }
      attempt.outcome = outcome;
      await this.run([...statements, 'commit'], attempt);
      this.remember(consequences);
      return outcome;
    } catch (error) {
      if (remedyFor(error) !== 'reconnect') await client.query('rollback').catch(() => this.drop());
      throw error;
    }
  }

  private encodeEvents(rows: UsageEvent[]): void {
    this.encoder.begin();
    for (const row of rows) this.encoder.appendEvent(row);
    this.encoder.end();
  }

  /** Messages come before the events: what is stored by then is what there was before this batch. */
  private eventStatements(
    { newCustomers, lateWindows, counterSums, idempotentIncrements }: Consequences,
    facts: Facts | null,
  ): string[] {
    const statements = [COPY_EVENT];
    if (facts !== null) {
      const told = this.options.quiet ? { ...facts, ready: [], quiet: true } : facts;
      statements.unshift(`select write_messages(${jsonLiteral(told)})`);
    }
    if (newCustomers.length > 0)
      statements.unshift(`select register_customers(${jsonLiteral(newCustomers)})`);
    if (lateWindows.length > 0) statements.push(`select mark_late_windows(${jsonLiteral(lateWindows)})`);
    if (counterSums.length > 0) {
      statements.push(
        `select add_to_counters(${jsonLiteral(counterSums)}, ${jsonLiteral(idempotentIncrements)})`,
      );
    }
    return statements;
  }

  /** Notes the row that enter_batch returned. */
  private entered(row: (string | null)[], attempt: Attempt): number {
    if (row.length < 2) return this.options.frontier.micros; // of another statement
    const closedUntil = Number(row[0]);
    this.options.frontier.advance(closedUntil);
    attempt.xid = row[1] ?? null;
    return closedUntil;
  }

  private remember({ newCustomers, lateEvents }: Consequences): void {
    this.options.metrics.lateEvents.inc(lateEvents);
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
    this.client ??= await this.options.connect();
    return this.client;
  }

  private async wrote(client: pg.Client, xid: string, stored: UsageEvent[]): Promise<boolean> {
    const { rows } = await client.query<{ n: string }>(
      `select count(*) as n
       from unnest($2::uuid[], $3::text[]) as mine (event_id, tenant_id)
       join event_identity i using (event_id, tenant_id)
       where i.xmin = $1::text::xid8::xid`,
      [xid, stored.map((row) => row.eventId), stored.map((row) => row.tenantId)],
    );
    return Number(rows[0]!.n) === stored.length;
  }
}

/** JSON as an SQL literal. JSON text has no NUL, and `escapeLiteral` quotes the rest. */
function jsonLiteral(value: unknown): string {
  return pg.escapeLiteral(JSON.stringify(value));
}
