import pg from 'pg';

/** The parts of pg's Connection that are used here; its types leave them out. */
interface Connection {
  parse(query: { name?: string; text: string }): void;
  bind(config: { statement?: string; values: unknown[] }): void;
  execute(config: object): void;
  sync(): void;
  readonly stream: import('node:net').Socket;
}

/** The inner query as pg's client drives it; its types leave most of it out. */
type Handlers = Record<`handle${string}`, (...values: unknown[]) => void> & {
  submit(connection: unknown): Error | null;
  callback: unknown;
};

/** A statement that is sent along with another one. */
export interface Companion {
  text: string;
  values?: string[];
}

export interface AccompaniedStatement {
  text: string;
  values: unknown[];
  /** Prepares it under this name, once per connection. */
  name?: string | undefined;
  /** What comes before it: whatever it returns is of no interest. */
  before: Companion[];
  /** What comes after it: of the first, the one value that it returns is kept. */
  after: Companion[];
}

/**
 * A statement and those that give it its tenant or its settings, or end what it has begun, in one round trip: they are
 * sent with a single Sync behind them, hence are one transaction, which does not wait for the client to end; what was set
 * ends with it, and no lock is left behind (PostgreSQL documentation, "Extended Query", on Sync and implicit transactions).
 *
 * A Submittable of `pg`: the inner Query does everything but its companions.
 */
export class AccompaniedQuery implements pg.Submittable {
  readonly text: string;
  readonly name: string | undefined;
  /** Settles with the result. */
  readonly result: Promise<pg.QueryResult>;
  /** What the first statement after it has returned, as text. */
  afterwards: string | null | undefined;
  private readonly statement: AccompaniedStatement;
  private readonly inner: Handlers;
  /** Statements that have ended. */
  private ended = 0;

  constructor(statement: AccompaniedStatement) {
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
    const { before, after } = this.statement;
    const outer = connection as Connection;
    const sync = () => {
      for (const companion of after) send(outer, companion);
      outer.sync();
    };
    outer.stream.cork();
    try {
      for (const companion of before) send(outer, companion);
      return this.inner.submit(Object.create(outer, { sync: { value: sync } }));
    } finally {
      outer.stream.uncork();
    }
  }

  handleDataRow(message: unknown): void {
    const { before } = this.statement;
    if (this.ended === before.length) this.inner.handleDataRow!(message);
    else if (this.ended === before.length + 1) {
      this.afterwards = (message as { fields: (string | null)[] }).fields[0];
    }
  }

  handleCommandComplete(message: unknown, connection: unknown): void {
    if (this.ended++ === this.statement.before.length) this.inner.handleCommandComplete!(message, connection);
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

function send(connection: Connection, { text, values = [] }: Companion): void {
  connection.parse({ text });
  connection.bind({ values });
  connection.execute({});
}
