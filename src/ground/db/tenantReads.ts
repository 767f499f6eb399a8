import type pg from 'pg';
import { inStatementSpan } from '../telemetry/spans.ts';
import { AccompaniedQuery, type Companion } from './accompaniedQuery.ts';
import { ChunksMoved, repeatMoved } from './chunksMoved.ts';
import type { CircuitBreaker } from './circuitBreaker.ts';
import type { DatabaseMetrics } from './databaseMetrics.ts';
import type { Engine } from './engine.ts';
import type { Queryable } from './queryable.ts';
import { repeatRead } from './repeatRead.ts';
import { remedyFor } from './sqlstate.ts';

export interface TenantReadsOptions {
  pool: pg.Pool;
  engine: Engine;
  /** Whether there are no sessions that settings and prepared statements could be kept in. */
  pooled: boolean;
  statementTimeoutMs: number;
  breaker: CircuitBreaker | undefined;
  metrics: DatabaseMetrics | undefined;
}

/** How long (ms) a transaction may wait for its next statement: the process may have been stopped meanwhile. */
const MOST_IDLE_MS = 10_000;

const BEGIN: Companion = { text: 'begin isolation level repeatable read, read only' };
const COMMIT: Companion = { text: 'commit' };
const CHUNKS_MOVED: Companion = { text: 'select tenant_data.chunks_moved()' };

type Statement = pg.QueryConfig & { values: unknown[]; last?: boolean };

/**
 * Tells that an answer needs no statement after this one: its transaction then ends in the same round trip. Means
 * nothing where a statement is run on its own.
 */
export function lastStatement(statement: pg.QueryConfig): pg.QueryConfig {
  return { ...statement, last: true } as pg.QueryConfig;
}

/** The same answer where more is asked behind it: none of its statements is the last. */
export function goingOn(db: Queryable): Queryable {
  return queryable((statement) => db.query({ ...statement, last: false } as pg.QueryConfig));
}

/**
 * Reads of tenants' data: as the role that sees nothing but the views, each statement with the tenant it is for. A
 * statement without one cannot be sent from here.
 */
export class TenantReads {
  private readonly options: TenantReadsOptions;
  /** The statements that have succeeded on a connection, by name. */
  private readonly proven = new WeakMap<pg.PoolClient, Set<string | undefined>>();

  constructor(options: TenantReadsOptions) {
    this.options = options;
  }

  /** What runs single statements for one tenant, each of its own moment. For plain tables: not for events or summaries. */
  as({ tenantId }: { tenantId: string }): Queryable {
    return queryable((statement) =>
      repeatRead(async () => {
        const lending = this.lend();
        try {
          return await this.run(lending, statement, this.context(tenantId));
        } finally {
          void release(lending);
        }
      }),
    );
  }

  /**
   * An answer all of whose parts are of one moment, however many statements it takes and whatever happens to chunks
   * meanwhile (docs/adr/0025 has the proof). Its statements have one snapshot, older than each of their plans, so they
   * show each transaction wholly or not at all; and where chunks were rearranged between the two, all of it is read again.
   * Likewise, once, when the connection goes away.
   *
   * @param work may be called more than once.
   * @throws {TidemarkError} `database_unavailable` when chunks are rearranged time and again.
   */
  inOneMoment<Answer>(
    { tenantId }: { tenantId: string },
    work: (db: Queryable) => Promise<Answer>,
  ): Promise<Answer> {
    return repeatMoved(() => repeatRead(() => this.attempt(tenantId, work)));
  }

  end(): Promise<void> {
    return this.options.pool.end();
  }

  private async attempt<Answer>(tenantId: string, work: (db: Queryable) => Promise<Answer>): Promise<Answer> {
    let lending: Promise<LentClient> | undefined;
    let end: 'commit' | 'rollback' | undefined = 'rollback';
    let ended = false;
    const check = this.options.engine === 'timescale' ? [CHUNKS_MOVED] : [];
    const db = queryable(async (statement) => {
      if (ended) throw new Error('a statement after the last one of its answer');
      const before = lending ? [] : [BEGIN, ...this.context(tenantId, MOST_IDLE_MS)];
      lending ??= this.lend();
      const result = this.run(lending, statement, before, statement.last ? [...check, COMMIT] : check);
      ended = statement.last ?? false;
      return result;
    });
    try {
      const answer = await work(db);
      end = ended ? undefined : 'commit';
      return answer;
    } finally {
      // Nobody waits for the end of a transaction that has changed nothing; its connection is not lent before.
      if (lending) void release(lending, end);
    }
  }

  /** The statement that makes a transaction the tenant's, and bounds what has no session to be bounded in. */
  private context(tenantId: string, mostIdleMs?: number): Companion[] {
    const { pooled, statementTimeoutMs } = this.options;
    const settings = {
      'tidemark.tenant_id': tenantId,
      role: 'tidemark_read',
      ...(mostIdleMs !== undefined && { idle_in_transaction_session_timeout: String(mostIdleMs) }),
      ...(pooled && { statement_timeout: String(statementTimeoutMs), jit: 'off' }),
    };
    const sets = Object.keys(settings).map((_, i) => `set_config($${2 * i + 1}, $${2 * i + 2}, true)`);
    return [{ text: `select ${sets.join(', ')}`, values: Object.entries(settings).flat() }];
  }

  private async lend(): Promise<LentClient> {
    const { pool, breaker } = this.options;
    breaker?.assertClosed();
    const client = await pool.connect().catch((error) => {
      breaker?.suspect();
      throw error;
    });
    return new LentClient(client);
  }

  private async run(
    lending: Promise<LentClient>,
    { text, values, name }: Statement,
    before: Companion[],
    after: Companion[] = [],
  ): Promise<pg.QueryResult> {
    const { pooled, metrics } = this.options;
    const end = metrics?.statements.startTimer({ pool: 'read' });
    const query = new AccompaniedQuery({ text, values, before, after, ...(!pooled && { name }) });
    try {
      const result = await inStatementSpan(text, name, async () => this.result(await lending, query));
      // Where it asks nothing, there is nothing but a commit after it, which returns no row.
      if (query.afterwards === 't') throw new ChunksMoved();
      return result;
    } finally {
      end?.();
    }
  }

  private async result(lent: LentClient, query: AccompaniedQuery): Promise<pg.QueryResult> {
    const { client } = lent;
    const proven = this.proven.get(client) ?? new Set();
    try {
      client.query(query);
      const result = await query.result;
      this.proven.set(client, proven.add(query.name));
      return result;
    } catch (error) {
      // pg takes the statement for prepared once its companions have been parsed, which may be as far as it got.
      if (remedyFor(error) === 'reconnect' || !proven.has(query.name)) lent.lost ??= error as Error;
      throw error;
    }
  }
}

/** A client that is lent out: its pool does not watch it. */
class LentClient {
  readonly client: pg.PoolClient;
  /** Why it is not to be lent again. */
  lost: Error | undefined;
  private readonly onError = (error: Error) => {
    this.lost = error;
  };

  constructor(client: pg.PoolClient) {
    this.client = client;
    client.on('error', this.onError);
  }

  release(): void {
    this.client.off('error', this.onError);
    this.client.release(this.lost);
  }
}

/** Gives a client back, once the transaction that was begun on it has ended. */
async function release(lending: Promise<LentClient>, end?: 'commit' | 'rollback'): Promise<void> {
  const lent = await lending.catch(() => undefined); // who wanted it has been told
  if (!lent) return;
  try {
    if (end && !lent.lost) await lent.client.query(end);
  } catch (error) {
    lent.lost ??= error as Error;
  }
  lent.release();
}

function queryable(run: (statement: Statement) => Promise<pg.QueryResult>): Queryable {
  const query = (statement: string | pg.QueryConfig, values?: unknown[]) => {
    const config = typeof statement === 'string' ? { text: statement } : statement;
    return run({ ...config, values: values ?? config.values ?? [] });
  };
  return { query: query as Queryable['query'] };
}
