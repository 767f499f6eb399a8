import { connect as connectTcp } from 'node:net';
import type pg from 'pg';

/** How long the server, or the pooler before it, may take to take note, in ms. */
const PATIENCE_MS = 2_000;
const CANCEL_REQUEST = 80_877_102;

/**
 * Asks the server to cancel what a connection is at, in the way of the protocol (PostgreSQL documentation, 55.2.8): by
 * a connection of its own, which needs no login, and which a pooler passes on to the right server. Does nothing where
 * the connection is at nothing. Resolves when the server has taken note.
 */
export async function cancelStatement(client: pg.Client): Promise<void> {
  const { processID, secretKey } = client as unknown as { processID: number; secretKey: number };
  const request = Buffer.alloc(16);
  for (const [i, part] of [16, CANCEL_REQUEST, processID, secretKey].entries()) {
    request.writeInt32BE(part | 0, 4 * i);
  }
  const { host, port } = client;
  const socket = host.startsWith('/')
    ? connectTcp(`${host}/.s.PGSQL.${port}`)
    : connectTcp({ host, port, noDelay: true });
  await new Promise<void>((resolve, reject) => {
    socket.setTimeout(PATIENCE_MS, () =>
      socket.destroy(new Error('the server does not take the cancel request')),
    );
    socket.once('error', reject).once('close', () => resolve());
    socket.resume(); // the server answers nothing, and closes
    socket.write(request);
  });
}
