import pg from 'pg';

/** The parts of pg's Connection that are used here; its types leave them out. */
interface Connection {
  parse(query: { name?: string; text: string }): void;
  bind(config: { statement?: string; values: unknown[] }): void;
  execute(config: object): void;
  readonly stream: import('node:net').Socket;
}

/** The inner query as pg's client drives it; its types leave most of it out. */
type Handlers = Record<`handle${string}`, (...values: unknown[]) => void> & {
  submit(connection: unknown): Error | null;
  callback: unknown;
};

/** What a statement runs with: as the read role, for one tenant. */
export interface TenantStatement {
  tenantId: string;
  text: string;
  values: unknown[];
  /** Prepares it under this name, once per connection. */
  name?: string | undefined;
  /** Settings for this statement alone, for connections that have no session to keep them in. */
  settings?: Record<string, string>;
}

/**
 * A statement and the tenant context it runs in, in one round trip: set_config(…, is_local) and the statement are sent
 * with a single Sync behind them, hence are one transaction, and the context ends with it (PostgreSQL documentation,
 * "Extended Query", on Sync and implicit transactions). There is no moment at which a connection has a tenant that
 * the next user of it could inherit.
 *
 * A Submittable of `pg`: the inner Query does everything but the context.
 */
export class TenantQuery implements pg.Submittable {
  readonly text: string;
  readonly name: string | undefined;
  /** Settles with the result. */
  readonly result: Promise<pg.QueryResult>;
  private readonly statement: TenantStatement;
  private readonly inner: Handlers;
  private inContext = false;

  constructor(statement: TenantStatement) {
    const { text, values, name } = statement;
    this.statement = statement;
    this.text = text;
    this.name = name;
    let settle!: (error: Error | null, result: pg.QueryResult) => void;
    this.result = new Promise((resolve, reject) => {
      settle = (error, result) => (error ? reject(error) : resolve(result));
    });
    const Query = pg.Query as unknown as new (config: object, callback: typeof settle) => Handlers;
    this.inner = new Query(
      { text, values, ...(name !== undefined && { name }), queryMode: 'extended' },
      settle,
    );
  }

  /** For the client's query_timeout, which puts its own in place. */
  get callback(): unknown {
    return this.inner.callback;
  }

  set callback(callback: unknown) {
    this.inner.callback = callback;
  }

  submit(connection: unknown): Error | null {
    const { tenantId, settings = {} } = this.statement;
    const all = { 'tidemark.tenant_id': tenantId, role: 'tidemark_read', ...settings };
    const sets = Object.keys(all).map((_, i) => `set_config($${2 * i + 1}, $${2 * i + 2}, true)`);
    const { stream } = connection as Connection;
    stream.cork();
    try {
      (connection as Connection).parse({ text: `select ${sets.join(', ')}` });
      (connection as Connection).bind({ values: Object.entries(all).flat() });
      (connection as Connection).execute({});
      return this.inner.submit(connection);
    } finally {
      stream.uncork();
    }
  }

  handleDataRow(message: unknown): void {
    if (this.inContext) this.inner.handleDataRow!(message);
  }

  handleCommandComplete(message: unknown, connection: unknown): void {
    if (this.inContext) this.inner.handleCommandComplete!(message, connection);
    this.inContext = true;
  }

  handleError(error: Error, connection: unknown): void {
    this.inner.handleError!(error, connection);
  }

  handleRowDescription(message: unknown): void {
    this.inner.handleRowDescription!(message);
  }

  handleReadyForQuery(connection: unknown): void {
    this.inner.handleReadyForQuery!(connection);
  }

  handleEmptyQuery(connection: unknown): void {
    this.inner.handleEmptyQuery!(connection);
  }

  handlePortalSuspended(connection: unknown): void {
    this.inner.handlePortalSuspended!(connection);
  }

  handleCopyInResponse(connection: unknown): void {
    this.inner.handleCopyInResponse!(connection);
  }

  handleCopyData(message: unknown, connection: unknown): void {
    this.inner.handleCopyData!(message, connection);
  }
}
