import type pg from 'pg';

/** The parts of pg's Connection that are used here; its types leave them out. */
interface Connection {
  query(text: string): void;
  readonly stream: import('node:net').Socket;
}

/**
 * A transaction in one round trip: a simple Query message of several statements, COPY … FROM STDIN among them, and
 * right behind it the data of every COPY, without waiting for the server to ask for it.
 *
 * PostgreSQL runs the statements of one Query message in one implicit transaction, which commits at its end; the
 * first error rolls everything back, skips the rest, and the CopyData that are still under way are ignored
 * (PostgreSQL documentation, "Multiple Statements in a Simple Query" and "COPY Operations"). So an error needs no
 * ROLLBACK, and the connection is ready for the next batch after ReadyForQuery. A connection pooler is another matter:
 * see PooledCopyTransaction.
 *
 * A Submittable of `pg`, which calls the handlers below. pg-copy-streams waits for each CopyInResponse instead; see
 * docs/adr/0001 for what that costs.
 */
export class CopyTransaction implements pg.Submittable {
  /**
   * Settles once the server has committed, or with its error, or with the loss of the connection; `data` may be
   * overwritten then.
   */
  readonly done: Promise<void>;
  private readonly text: string;
  private readonly data: Buffer;
  private readonly onRow: ((row: (string | null)[]) => void) | undefined;
  private resolve!: () => void;
  private reject!: (error: Error) => void;

  /**
   * @param text SQL statements; each COPY in it takes the next CopyData … CopyDone of `data`.
   * @param data the CopyData and CopyDone messages, as `CopyEncoder` makes them.
   * @param onRow is handed each row a statement returns, as text, when it arrives: before the commit.
   */
  constructor(text: string, data: Buffer, onRow?: (row: (string | null)[]) => void) {
    this.text = text;
    this.data = data;
    this.onRow = onRow;
    this.done = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
    this.done.catch(() => undefined);
  }

  submit(connection: unknown): void {
    const { stream } = connection as Connection;
    stream.cork();
    (connection as Connection).query(this.text);
    if (stream.writable) stream.write(this.data);
    stream.uncork();
  }

  handleDataRow(message: { fields: (string | null)[] }): void {
    this.onRow?.(message.fields);
  }

  /** The server may have refused what it has not read yet: the data are given up once the socket has let go of them. */
  handleError(error: Error, connection: unknown): void {
    const { stream } = connection as Connection;
    if (stream.writable) stream.write('', () => this.reject(error));
    else this.reject(error);
  }

  handleReadyForQuery(): void {
    this.resolve();
  }

  handleRowDescription(): void {}
  handleCommandComplete(): void {}
  handleCopyInResponse(_connection?: unknown): void {}
  handleEmptyQuery(): void {}
  handlePortalSuspended(): void {}
}
