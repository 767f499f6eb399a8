import pg from 'pg';

/** The parts of pg's Connection that are used here; its types leave them out. */
interface Connection {
  parse(query: { text: string }): void;
  bind(config: object): void;
  execute(config: object): void;
  readonly stream: import('node:net').Socket;
}

/** The inner query as pg's client drives it; its types leave most of it out. */
type Handlers = Record<`handle${string}`, (...values: unknown[]) => void> & {
  submit(connection: unknown): Error | null;
  callback: unknown;
};

/**
 * A statement with settings for itself alone, in one round trip: `select set_config(…, true)` and the statement are sent
 * with a single Sync behind them, hence are one transaction (PostgreSQL documentation, "Extended Query"), which does not
 * wait for the client to end. A statement that takes locks leaves none behind, whatever becomes of its sender.
 *
 * A Submittable of `pg`, like TenantQuery: the inner Query does everything but the settings.
 */
export class ConfiguredQuery implements pg.Submittable {
  readonly text: string;
  /** Settles with the result. */
  readonly result: Promise<pg.QueryResult>;
  private readonly settings: string;
  private readonly inner: Handlers;
  private isSet = false;

  /** @param settings calls of set_config, without parameters. Prepared statements are sent as plain ones. */
  constructor(statement: { text: string; values: unknown[] }, settings: string) {
    this.text = statement.text;
    this.settings = settings;
    let settle!: (error: Error | null, result: pg.QueryResult) => void;
    this.result = new Promise((resolve, reject) => {
      settle = (error, result) => (error ? reject(error) : resolve(result));
    });
    this.result.catch(() => undefined);
    const Query = pg.Query as unknown as new (config: object, callback: typeof settle) => Handlers;
    this.inner = new Query({ ...statement, queryMode: 'extended' }, settle);
  }

  /** For the client's query_timeout, which puts its own in place. */
  get callback(): unknown {
    return this.inner.callback;
  }

  set callback(callback: unknown) {
    this.inner.callback = callback;
  }

  submit(connection: unknown): Error | null {
    const { stream } = connection as Connection;
    stream.cork();
    try {
      (connection as Connection).parse({ text: `select ${this.settings}` });
      (connection as Connection).bind({});
      (connection as Connection).execute({});
      return this.inner.submit(connection);
    } finally {
      stream.uncork();
    }
  }

  handleDataRow(message: unknown): void {
    if (this.isSet) this.inner.handleDataRow!(message);
  }

  handleCommandComplete(message: unknown, connection: unknown): void {
    if (this.isSet) this.inner.handleCommandComplete!(message, connection);
    this.isSet = true;
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
}
