import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { WriteCutter } from './writeCutter.ts';

/** A client, the server behind the proxy, and the way between them. */
export interface Connection {
  client: Socket;
  server: Socket;
  /** Ends both sides at once: with a reset, or as a process that ends does. */
  cut(reset: boolean): void;
}

/** Stands between the service and its database. */
export class DatabaseProxy {
  /** Cuts writers' connections at a step of their work. */
  readonly cutter = new WriteCutter();
  /** Added to the way of every answer, in ms. */
  delayMs = 0;
  private readonly target: number;
  private readonly listener: Server;
  private readonly connections = new Set<Connection>();
  /** Connections of which nothing arrives any more. */
  private readonly dead = new WeakSet<Connection>();
  private swallowing = false;

  private constructor(target: number) {
    this.target = target;
    this.listener = createServer((client) => this.accept(client));
  }

  static async start(target: number): Promise<DatabaseProxy> {
    const proxy = new DatabaseProxy(target);
    proxy.listener.listen(0, '127.0.0.1');
    await once(proxy.listener, 'listening');
    return proxy;
  }

  get port(): number {
    return (this.listener.address() as AddressInfo).port;
  }

  /** From now on nothing arrives, on old connections and new ones, and nobody is told. */
  swallow(): void {
    this.swallowing = true;
    for (const connection of this.connections) this.dead.add(connection);
  }

  /** New connections are passed on again; those that have lost something stay dead. */
  recover(): void {
    this.swallowing = false;
  }

  /** Cuts every connection. */
  cutAll(reset: boolean): void {
    for (const connection of [...this.connections]) connection.cut(reset);
  }

  async close(): Promise<void> {
    this.cutAll(false);
    this.listener.close();
    await once(this.listener, 'close');
  }

  private accept(client: Socket): void {
    const server = connect({ port: this.target, host: '127.0.0.1', noDelay: true });
    client.setNoDelay(true);
    const connection: Connection = {
      client,
      server,
      cut: (reset) => {
        this.connections.delete(connection);
        for (const socket of [client, server]) reset ? socket.resetAndDestroy() : socket.destroy();
      },
    };
    this.connections.add(connection);
    if (this.swallowing) this.dead.add(connection);
    const tap = this.cutter.tap(connection);
    const alive = () => !this.dead.has(connection) && this.connections.has(connection);
    client.on('data', (data) => {
      if (alive()) tap.toServer(data);
    });
    server.on('data', (data) => {
      const pass = () => {
        if (alive()) tap.toClient(data);
      };
      if (this.delayMs > 0) setTimeout(pass, this.delayMs);
      else pass();
    });
    client.on('error', () => undefined);
    server.on('error', () => undefined);
    client.on('close', () => connection.cut(false));
    server.on('close', () => {
      if (!this.dead.has(connection)) connection.cut(true);
    });
  }
}
