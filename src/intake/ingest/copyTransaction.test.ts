import { Writable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { CopyTransaction } from './copyTransaction.ts';
import { PooledCopyTransaction } from './pooledCopyTransaction.ts';

const DATA = Buffer.from('rows');

/** A connection whose socket takes nothing until it is released. */
function slowConnection() {
  const taken: string[] = [];
  let release!: () => void;
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  const stream = new Writable({
    write(chunk, _, callback) {
      void released.then(() => {
        taken.push(String(chunk));
        callback();
      });
    },
    destroy(error, callback) {
      release(); // a socket calls back what it was writing
      callback(error);
    },
  });
  stream.on('error', () => undefined);
  const send = (text: string) => stream.write(text);
  const connection = {
    stream,
    query: (text: string) => send(`Query ${text}`),
    parse: ({ text }: { text: string }) => send(`Parse ${text}`),
    bind: () => undefined,
    execute: () => undefined,
    flush: () => send('Flush'),
    sync: () => send('Sync'),
  };
  return { connection, taken, release };
}

const nextTurn = () => new Promise((resolve) => setImmediate(resolve));

describe.each([
  [
    'CopyTransaction',
    () => new CopyTransaction('copy t from stdin', DATA),
    ['Query copy t from stdin', 'rows'],
  ],
  [
    'PooledCopyTransaction',
    () => new PooledCopyTransaction(['begin', 'copy t from stdin', 'commit'], [DATA]),
    ['Parse begin', 'Parse copy t from stdin', 'Flush', 'rows', 'Parse commit', 'Sync'],
  ],
] as const)('%s', (_, create, sent) => {
  it('has failed only once its data are out of the socket, which may be overwritten then', async () => {
    const { connection, taken, release } = slowConnection();
    const transaction = create();
    let failed = false;
    transaction.done.catch(() => {
      failed = true;
    });
    transaction.submit(connection);
    transaction.handleCopyInResponse(connection);
    transaction.handleError(new Error('refused'), connection);
    await nextTurn();
    expect(failed).toBe(false);
    release();
    await expect(transaction.done).rejects.toThrow('refused');
    expect(taken.filter((text) => text !== '')).toEqual(sent);
  });

  it('has failed at once where the connection is gone', async () => {
    const { connection } = slowConnection();
    const transaction = create();
    transaction.submit(connection);
    connection.stream.destroy();
    transaction.handleError(new Error('lost'), connection);
    await expect(transaction.done).rejects.toThrow('lost');
  });

  it('has failed when the connection goes while it waits', async () => {
    const { connection } = slowConnection();
    const transaction = create();
    transaction.submit(connection);
    transaction.handleError(new Error('refused'), connection);
    connection.stream.destroy();
    await expect(transaction.done).rejects.toThrow('refused');
  });
});

describe('PooledCopyTransaction', () => {
  it('ends a transaction that failed with one Sync, and sends no data that nobody asked for', async () => {
    const { connection, taken, release } = slowConnection();
    release();
    const transaction = new PooledCopyTransaction(['select 1', 'copy t from stdin'], [DATA]);
    transaction.submit(connection);
    transaction.handleError(new Error('refused'), connection);
    await expect(transaction.done).rejects.toThrow('refused');
    expect(taken.filter((text) => text !== '')).toEqual([
      'Parse select 1',
      'Parse copy t from stdin',
      'Flush',
      'Sync',
    ]);
  });
});
