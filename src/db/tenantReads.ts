import type pg from 'pg';
import { inStatementSpan } from '../telemetry/spans.ts';
import type { CircuitBreaker } from './circuitBreaker.ts';
import type { Queryable } from './connections.ts';
import type { DatabaseMetrics } from './databaseMetrics.ts';
import { retryLost } from './retryLost.ts';
import { remedyFor } from './sqlstate.ts';
import { TenantQuery } from './tenantQuery.ts';

export interface TenantReadsOptions {
  pool: pg.Pool;
  /** Whether there are no sessions that settings and prepared statements could be kept in. */
  pooled: boolean;
  statementTimeoutMs: number;
  breaker: CircuitBreaker | undefined;
  metrics: DatabaseMetrics | undefined;
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

  /** What runs statements for one tenant. */
  as({ tenantId }: { tenantId: string }): Queryable {
    const query = (statement: string | pg.QueryConfig, values?: unknown[]) => {
      const { text, name, values: own } = typeof statement === 'string' ? { text: statement } : statement;
      return retryLost(() => this.measured(tenantId, text, values ?? own ?? [], name));
    };
    return { query: query as Queryable['query'] };
  }

  end(): Promise<void> {
    return this.options.pool.end();
  }

  private async measured(
    tenantId: string,
    text: string,
    values: unknown[],
    name: string | undefined,
  ): Promise<pg.QueryResult> {
    const end = this.options.metrics?.statements.startTimer({ pool: 'read' });
    try {
      return await inStatementSpan(text, name, () => this.run(tenantId, text, values, name));
    } finally {
      end?.();
    }
  }

  private async run(
    tenantId: string,
    text: string,
    values: unknown[],
    name: string | undefined,
  ): Promise<pg.QueryResult> {
    const { pool, pooled, statementTimeoutMs, breaker } = this.options;
    breaker?.assertClosed();
    const query = new TenantQuery({
      tenantId,
      text,
      values,
      ...(pooled ? { settings: { statement_timeout: String(statementTimeoutMs), jit: 'off' } } : { name }),
    });
    const client = await pool.connect().catch((error) => {
      breaker?.suspect();
      throw error;
    });
    let lost: Error | undefined;
    const onError = (error: Error) => {
      lost = error; // a client that is lent out is not watched by its pool
    };
    client.on('error', onError);
    try {
      client.query(query);
      const result = await query.result;
      const proven = this.proven.get(client) ?? new Set();
      this.proven.set(client, proven.add(name));
      return result;
    } catch (error) {
      // pg takes the statement for prepared once the context has been parsed, which may be as far as it got.
      if (remedyFor(error) === 'reconnect' || !this.proven.get(client)?.has(name)) lost ??= error as Error;
      throw error;
    } finally {
      client.off('error', onError);
      client.release(lost);
    }
  }
}
