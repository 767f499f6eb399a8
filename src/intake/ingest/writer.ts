import { setTimeout as sleep } from 'node:timers/promises';
import { SpanKind } from '@opentelemetry/api';
import pg from 'pg';
import { JIT_OFF } from '../../ground/db/connections.ts';
import {
  errorCode,
  INTEREST_CHANGED,
  type Remedy,
  remedyFor,
  UNIQUE_VIOLATION,
  WINDOW_CLOSED,
} from '../../ground/db/sqlstate.ts';
import type { Logger } from '../../ground/telemetry/logger.ts';
import { inInnerSpan } from '../../ground/telemetry/spans.ts';
import { type EventFault, TidemarkError } from '../../model/errors.ts';
import type { UsageEvent } from '../../model/usageEvent.ts';
import { type Facts, factsOf } from '../../outbound/delivery/facts.ts';
import type { Interest } from '../../outbound/delivery/interest.ts';
import type { ClosedFrontier } from '../../sums/windows/closedFrontier.ts';
import {
  Batch,
  type Consequences,
  consequencesOf,
  identityKey,
  joinResults,
  type Refusal,
  type WriteRequest,
  type WriteResult,
} from './batch.ts';
import { CopyEncoder, EVENT_COLUMNS, IDENTITY_COLUMNS } from './copyEncoding.ts';
import { CopyTransaction } from './copyTransaction.ts';
import type { CustomerRegistry } from './customerRegistry.ts';
import type { IngestMetrics } from './ingestMetrics.ts';
import { PooledCopyTransaction } from './pooledCopyTransaction.ts';

export interface WriterOptions {
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
  log: Logger;
  /** How long one batch may take, repetitions included, in ms. */
  deadlineMs: number;
  /** Told of the rows that a commit added, before their requests are answered. */
  onStored?(rows: UsageEvent[]): void;
  /** Told when a commit may have left messages in the outbox. */
  onMessages?(): void;
}

/** What a committed transaction did: `known` are the rows it found stored already. */
interface Committed {
  stored: UsageEvent[];
  known: Set<UsageEvent> | null;
  /** Whether it had something to tell. */
  told: boolean;
}

/** What can be said of a transaction whose connection went away before it answered. */
interface Attempt {
  /** Its id, once the server has told it. */
  xid: string | null;
  /** What it has done if it has committed. Null before the commit was sent. */
  outcome: Committed | null;
}

/** Repeating now would not help. */
const GIVEN_UP = new Set<Remedy>(['unavailable', 'suspect', 'divide']);

const COPY_IDENTITY = `copy event_identity (${IDENTITY_COLUMNS.join(', ')}) from stdin (format binary)`;
const COPY_EVENT = `copy event (${EVENT_COLUMNS.join(', ')}) from stdin (format binary)`;
/** Events of one request that are left out, each for itself, before it is refused as a whole: each costs transactions. */
const MAX_REFUSED = 100;
/** For the transaction at hand, of whoever logged in. One column: two would be taken for those of `enter_batch`. */
const AS_INGEST = `select concat(set_config('role', 'tidemark_ingest', true), ${JIT_OFF})`;
const ENTER_BATCH = (openFrom: string, interest: string) =>
  `select (extract(epoch from closed_until) * 1000000)::bigint, xid from enter_batch(${openFrom}, ${interest})`;

/**
 * Writes batches, one at a time, on a connection of its own.
 *
 * Each batch first takes the direct path: identities and events by COPY in a single round trip, on the guess that
 * every id is new. A duplicate makes that fail without a trace, and the batch takes the claiming path: INSERT …
 * ON CONFLICT DO NOTHING says which ids are new, and only those events follow. A row that the database refuses fails
 * its own request: the batch is halved until that request stands alone; so does one that asks for more locks or memory
 * than a transaction may have. A connection lost around the commit is
 * cleared up by asking the server what became of the transaction.
 */
export class Writer {
  private readonly options: WriterOptions;
  private readonly encoder = new CopyEncoder();
  private client: pg.Client | undefined;
  /** When the batch at hand is given up, ms since the epoch. */
  private until = 0;

  constructor(options: WriterOptions) {
    this.options = options;
  }

  /** Writes the requests in as few transactions as they allow. Never throws: a failure is its request's Error. */
  async write(requests: WriteRequest[]): Promise<(WriteResult | Error)[]> {
    this.until = Date.now() + this.options.deadlineMs;
    return this.writeOn('direct', requests);
  }

  async close(): Promise<void> {
    const client = this.client;
    this.client = undefined;
    await client?.end().catch(() => undefined);
  }

  private async writeOn(
    firstPath: 'direct' | 'claiming',
    requests: WriteRequest[],
  ): Promise<(WriteResult | Error)[]> {
    const batch = new Batch(requests);
    let path = firstPath;
    for (let tries = 0; ; tries++) {
      const attempt: Attempt = { xid: null, outcome: null };
      try {
        return this.done(batch, await this.transact(path, batch, attempt));
      } catch (error) {
        const code = errorCode(error);
        if (code === WINDOW_CLOSED) {
          path = 'claiming'; // which holds the lock before it decides what is late
          continue;
        }
        if (code === UNIQUE_VIOLATION && path === 'direct') {
          this.options.metrics.slowPaths.inc();
          path = 'claiming';
          continue;
        }
        if (code === INTEREST_CHANGED && Date.now() < this.until) {
          await this.learnWhoListens();
          continue;
        }
        const remedy = code === INTEREST_CHANGED ? 'unavailable' : remedyFor(error);
        const alone = requests.length === 1;
        if (remedy === 'reject' || (remedy === 'suspect' && !alone) || isTooLarge(remedy, batch)) {
          return this.isolate(path, requests, error);
        }
        if (remedy === 'reconnect') this.drop();
        if (GIVEN_UP.has(remedy) || Date.now() >= this.until) {
          this.options.log.error({ err: error, rows: batch.rows.length }, 'batch not written');
          return requests.map(() => unavailable(error));
        }
        this.options.metrics.retries.inc({ sqlstate: code ?? 'connection' });
        if (remedy === 'reconnect' && attempt.outcome && (await this.committed(attempt))) {
          return this.done(batch, attempt.outcome);
        }
        path = 'claiming'; // safe whatever became of the last attempt
        await sleep(backoffMs(tries));
      }
    }
  }

  /** One transaction. Its statements hold what the events say, so its span names none of them. */
  private async transact(path: 'direct' | 'claiming', batch: Batch, attempt: Attempt): Promise<Committed> {
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

  private done(batch: Batch, { stored, known, told }: Committed): WriteResult[] {
    this.options.onStored?.(stored);
    if (told) this.options.onMessages?.();
    return batch.results(known);
  }

  /** A failure is met by the next attempt: the same refusal, or the connection. */
  private async learnWhoListens(): Promise<void> {
    try {
      await this.options.interest.reload(await this.connected());
    } catch (error) {
      this.options.log.warn({ err: error }, 'who listens could not be read');
      this.drop();
      await sleep(backoffMs(0));
    }
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
    await this.run(statements, (row) => this.entered(row, attempt));
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
      await this.run(['begin', AS_INGEST, ENTER_BATCH(`'infinity'`, listeners.version)], (row) => {
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
        await this.run([...statements, 'set constraints all immediate', 'rollback']);
        return outcome;
      }
      attempt.outcome = outcome;
      await this.run([...statements, 'commit']);
      this.remember(consequences);
      return outcome;
    } catch (error) {
      if (remedyFor(error) !== 'reconnect') await client.query('rollback').catch(() => this.drop());
      throw error;
    }
  }

  /** Halves the requests until the one that carries the refused row stands alone, and fails that one. */
  private async isolate(
    path: 'direct' | 'claiming',
    requests: WriteRequest[],
    error: unknown,
  ): Promise<(WriteResult | Error)[]> {
    const half = requests.length >> 1;
    if (half > 0) {
      return [
        ...(await this.writeOn(path, requests.slice(0, half))),
        ...(await this.writeOn(path, requests.slice(half))),
      ];
    }
    const request = requests[0]!;
    if (request.onRefused === 'skip') return [await this.storeOthers(path, request, error)];
    this.options.metrics.rejectedRequests.inc();
    if (remedyFor(error) === 'divide') return [tooLarge(error)];
    return [refused(error, request.onRefused === 'tell' ? await this.firstRefused(request, error) : null)];
  }

  /**
   * Halves a request until each event that the database refuses stands alone, and leaves those out. Each part is a
   * transaction: when one cannot be written, the request fails, and those before it are duplicates the next time.
   */
  private async storeOthers(
    path: 'direct' | 'claiming',
    request: WriteRequest,
    error: unknown,
  ): Promise<WriteResult | Error> {
    const { events } = request;
    const half = events.length >> 1;
    if (half === 0)
      return { accepted: 0, duplicates: 0, duplicateFlags: null, refused: [refusalOf(0, error)] };
    let joined: WriteResult = { accepted: 0, duplicates: 0, duplicateFlags: null };
    let done = 0;
    for (const part of [events.slice(0, half), events.slice(half)]) {
      const [result] = await this.writeOn(path, [{ ...request, events: part, rows: part.length }]);
      if (result instanceof Error) return result;
      joined = joinResults(joined, done, result!, part.length);
      done += part.length;
      if (joined.refused!.length > MAX_REFUSED) return refused(error, null);
    }
    return joined;
  }

  /** The first event that the database refuses, found by trials that leave nothing; null when that cannot be told. */
  private async firstRefused({ events, ...request }: WriteRequest, error: unknown): Promise<Refusal | null> {
    let taken = 0;
    let first = refusalOf(events.length - 1, error);
    while (first.index > taken && Date.now() < this.until) {
      const rows = taken + Math.ceil((first.index - taken) / 2);
      const batch = new Batch([{ ...request, events: events.slice(0, rows) }]);
      try {
        await this.claimAndWrite(batch, { xid: null, outcome: null }, true);
        taken = rows;
      } catch (trialError) {
        const remedy = remedyFor(trialError);
        if (remedy === 'reconnect') this.drop();
        if (remedy !== 'reject') return null;
        first = refusalOf(rows - 1, trialError);
      }
    }
    return first.index === taken ? first : null;
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
  private async run(statements: string[], onRow?: (row: (string | null)[]) => void): Promise<void> {
    const client = await this.connected();
    const transaction = this.options.pooled
      ? new PooledCopyTransaction(statements, this.encoder.takeEach(), onRow)
      : new CopyTransaction(statements.join(';\n'), this.encoder.take(), onRow);
    const timer = setTimeout(() => client.connection.stream.destroy(), Math.max(0, this.until - Date.now()));
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

  /** Gives up the connection, and the buffer that its socket may still hold. */
  private drop(): void {
    this.client?.connection.stream.destroy();
    this.client = undefined;
    this.encoder.discard();
  }

  /**
   * Whether a transaction whose connection was lost has committed after all. False also when nobody can tell.
   *
   * Its id alone does not say: a server that has crashed, or the replica that took its place, gives the ids of
   * transactions of which nothing had reached the disk to others. So the rows have to be there, and to be its own.
   */
  private async committed({ xid, outcome }: Attempt): Promise<boolean> {
    while (xid !== null && outcome !== null && Date.now() < this.until) {
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

/** 20 ms doubling to 500 ms, of which a random half is left out so that writers do not return in step. */
function backoffMs(tries: number): number {
  return Math.min(500, 20 * 2 ** tries) * (0.5 + Math.random() / 2);
}

function unavailable(cause: unknown): TidemarkError {
  return new TidemarkError(
    'database_unavailable',
    'the event could not be stored; retry with the same event ids',
    {
      retryAfterSeconds: 1,
      cause,
    },
  );
}

/** A single event cannot be written in smaller transactions: it may come again when others have left. */
function isTooLarge(remedy: Remedy, batch: Batch): boolean {
  return remedy === 'divide' && batch.rows.length > 1;
}

function tooLarge(cause: unknown): TidemarkError {
  return new TidemarkError(
    'transaction_too_large',
    'the request needs more locks or memory than one transaction may have; send fewer events, or events of fewer days, ' +
      'per request, with the same event ids',
    { cause },
  );
}

/** @param refusal the event it is about, where that is known: its index is the place among the events of the request. */
function refused(cause: unknown, refusal: Refusal | null): TidemarkError {
  return new TidemarkError('event_rejected_by_database', 'the database refuses an event of this request', {
    cause,
    ...(refusal && { errors: [refusalFault(refusal)] }),
  });
}

/** What is told of a refused event. What the database says of it may quote what is not the caller's. */
export function refusalFault({ index, code }: Refusal): EventFault {
  const message = `the database refuses it (SQLSTATE ${code})`;
  return { index, pointer: '', code: 'event_rejected_by_database', message };
}

function refusalOf(index: number, cause: unknown): Refusal {
  return { index, code: errorCode(cause) ?? '', cause };
}
