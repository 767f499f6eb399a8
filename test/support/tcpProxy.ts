import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

/** A client, the server behind the proxy, and the way between them. */
export interface Connection {
  client: Socket;
  server: Socket;
  /** Nothing arrives any more, on either side. */
  dead: boolean;
  /** Ends both sides at once: with a reset, or as a process that ends does. */
  cut(reset: boolean): void;
}

/** Passes on what comes from either side. */
export interface Tap {
  toServer(data: Buffer): void;
  toClient(data: Buffer): void;
}

/**
 * - `open`: everything is passed on;
 * - `silent`: nothing is, and nobody is told; connections of this time stay dead, since they have lost something;
 * - `refusing`: what is there is reset, and what comes is refused.
 */
export type ProxyState = 'open' | 'silent' | 'refusing';

type TapOn = (connection: Connection) => Tap;

/** Stands between clients and a server, on a local port. */
export class TcpProxy {
  readonly port: number;
  /** Added to the way of every answer, in ms. */
  delayMs = 0;
  private readonly listener: Server;
  private readonly to: { host: string; port: number };
  private readonly tapOn: TapOn;
  private readonly connections = new Set<Connection>();
  private state: ProxyState = 'open';

  private constructor(listener: Server, to: { host: string; port: number }, tapOn: TapOn) {
    this.listener = listener.on('connection', (client) => this.accept(client));
    this.port = (listener.address() as AddressInfo).port;
    this.to = to;
    this.tapOn = tapOn;
  }

  static async start(
    to: { host: string; port: number },
    { tapOn = plain }: { tapOn?: TapOn } = {},
  ): Promise<TcpProxy> {
    const listener = createServer().listen(0, '127.0.0.1');
    await once(listener, 'listening');
    return new TcpProxy(listener, to, tapOn);
  }

  /** Concerns data from now on, also before the promise resolves: then the port is as the state says. */
  async become(state: ProxyState): Promise<void> {
    this.state = state;
    if (state === 'silent') for (const connection of this.connections) connection.dead = true;
    if (state === 'refusing') await this.close();
    else if (!this.listener.listening) await once(this.listener.listen(this.port, '127.0.0.1'), 'listening');
  }

  /** Resets every connection. */
  reset(): void {
    for (const connection of this.connections) connection.cut(true);
  }

  async close(): Promise<void> {
    const closed = this.listener.listening && once(this.listener.close(), 'close');
    this.reset();
    await closed;
  }

  private accept(client: Socket): void {
    const server = connect({ ...this.to, noDelay: true });
    client.setNoDelay(true);
    const connection: Connection = {
      client,
      server,
      dead: this.state === 'silent',
      cut: (reset) => {
        connection.dead = true;
        this.connections.delete(connection);
        for (const socket of [client, server]) reset ? socket.resetAndDestroy() : socket.destroy();
      },
    };
    this.connections.add(connection);
    const tap = this.tapOn(connection);
    client.on('data', (data) => {
      if (!connection.dead) tap.toServer(data);
    });
    const answers: Buffer[] = [];
    const answer = () => {
      const data = answers.shift()!; // in their order, also when the delay has changed
      if (!connection.dead) tap.toClient(data);
    };
    server.on('data', (data) => {
      answers.push(data);
      if (this.delayMs > 0 || answers.length > 1) setTimeout(answer, this.delayMs);
      else answer();
    });
    for (const socket of [client, server]) socket.on('error', () => undefined);
    client.on('close', (failed) => connection.cut(failed));
    server.on('close', (failed) => {
      if (!connection.dead) connection.cut(failed);
    });
  }
}

const plain: TapOn = ({ client, server }) => ({
  toServer: (data) => server.write(data),
  toClient: (data) => client.write(data),
});
