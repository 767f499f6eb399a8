import type { Socket } from 'node:net';
import type pg from 'pg';

/** The parts of pg's Connection that are used here; its types leave them out. */
interface Connection {
  parse(query: { text: string }): void;
  bind(config: object): void;
  execute(config: object): void;
  flush(): void;
  sync(): void;
  readonly stream: Socket;
}

/**
 * What `CopyTransaction` does, for a connection through a pooler: the extended protocol with a single Sync at the end,
 * and the data of a COPY only when the server asks for them.
 *
 * A pooler takes ReadyForQuery for the end of the transaction and lends the server connection to the next client. A
 * simple Query whose COPY is refused is answered with ReadyForQuery while its data are still under way: PgBouncer sends
 * the rest of them into a connection that is somebody else's by then, or holds one for a client that wants nothing more
 * of it (pgbouncer #57, #1470, #1471). Here the server answers ReadyForQuery to the Sync alone, behind which nothing
 * follows. Data that precede CopyInResponse would not be taken for a COPY's by PgBouncer 1.22.1 and later, which count.
 *
 * The price is a round trip for each COPY.
 */
export class PooledCopyTransaction implements pg.Submittable {
  /** Settles once the server has committed, or with its error, or with the loss of the connection. */
  readonly done: Promise<void>;
  private readonly statements: string[];
  private readonly copies: Buffer[];
  private readonly onRow: ((row: (string | null)[]) => void) | undefined;
  private next = 0;
  private synced = false;
  private resolve!: () => void;
  private reject!: (error: Error) => void;

  /**
   * @param statements without parameters; outside a transaction block all of them are one transaction.
   * @param copies CopyData and CopyDone of each COPY among the statements, in their order.
   * @param onRow is handed each row a statement returns, as text, when it arrives: before the commit.
   */
  constructor(statements: string[], copies: Buffer[], onRow?: (row: (string | null)[]) => void) {
    this.statements = statements;
    this.copies = copies.slice();
    this.onRow = onRow;
    this.done = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
    this.done.catch(() => undefined);
  }

  submit(connection: unknown): void {
    this.send(connection as Connection);
  }

  handleCopyInResponse(connection: unknown): void {
    this.send(connection as Connection, this.copies.shift());
  }

  handleDataRow(message: { fields: (string | null)[] }): void {
    this.onRow?.(message.fields);
  }

  handleError(error: Error, connection: unknown): void {
    const { stream } = connection as Connection;
    if (!stream.writable) {
      this.reject(error);
      return;
    }
    this.sync(connection as Connection);
    stream.write('', () => this.reject(error)); // the socket has let go of the data by then
  }

  handleReadyForQuery(): void {
    this.resolve();
  }

  handleRowDescription(): void {}
  handleCommandComplete(): void {}
  handleEmptyQuery(): void {}
  handlePortalSuspended(): void {}

  /** The data of a COPY, if any, and the statements behind it up to the next COPY or the end. */
  private send(connection: Connection, data?: Buffer): void {
    const { stream } = connection;
    if (!stream.writable) return;
    stream.cork();
    if (data) stream.write(data);
    let copies = false;
    while (!copies && this.next < this.statements.length) {
      const text = this.statements[this.next++]!;
      copies = text.startsWith('copy ');
      connection.parse({ text });
      connection.bind({});
      connection.execute({});
    }
    if (copies) connection.flush();
    else this.sync(connection);
    stream.uncork();
  }

  private sync(connection: Connection): void {
    if (this.synced) return;
    this.synced = true;
    connection.sync();
  }
}
