import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/** A way to a server that can be cut, in two manners. */
export interface Relay {
  /** Where it listens. */
  port: number;
  /** `open` passes everything on; `refusing` resets what is there and what comes; `silent` takes everything and answers nothing. */
  become(state: 'open' | 'refusing' | 'silent'): Promise<void>;
  close(): Promise<void>;
}

/** Relays connections on a local port to `to`. */
export async function startRelay(to: { host: string; port: number }): Promise<Relay> {
  let state: 'open' | 'refusing' | 'silent' = 'open';
  const sockets = new Set<Socket>();
  const keep = (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.once('close', () => sockets.delete(socket));
    return socket;
  };
  const server = createServer((client) => {
    keep(client);
    const upstream = keep(connect({ ...to, noDelay: true }));
    client.setNoDelay(true);
    for (const [from, into] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      from.on('data', (chunk) => {
        if (state === 'open') into.write(chunk);
      });
      from.once('close', () => into.destroy());
    }
  });
  const listen = async (port: number) => {
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
    return (server.address() as AddressInfo).port;
  };
  const shut = async () => {
    const closed = server.listening ? new Promise((resolve) => server.close(resolve)) : undefined;
    for (const socket of sockets) socket.resetAndDestroy();
    await closed;
  };
  const port = await listen(0);
  return {
    port,
    async become(next) {
      state = next;
      if (next === 'refusing') await shut();
      else if (!server.listening) await listen(port);
    },
    close: shut,
  };
}
