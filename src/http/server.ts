import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { getRequestListener } from '@hono/node-server';
import { StartupError } from '../errors.ts';
import type { App } from './appEnv.ts';

/** Behind a load balancer that keeps idle connections for 60 s, ours must live longer, or it reuses a closed one. */
const KEEP_ALIVE_MS = 65_000;
/** From the first byte of a request to the end of its headers; Node wants it no longer than the next. */
const HEADERS_MS = 10_000;
/** From the first byte of a request to the last of its body. */
const REQUEST_MS = 15_000;

export interface HttpServer {
  /** `http://host:port`, with the port that was chosen for 0. */
  address: string;
  /**
   * Takes no more connections, tells clients on open ones to leave, and waits for the requests under way; what is
   * still open after `deadlineMs` is cut.
   */
  close(deadlineMs: number): Promise<void>;
}

/** @throws {StartupError} when the address cannot be had. */
export async function listen(app: App, host: string, port: number): Promise<HttpServer> {
  let closing = false;
  const handle = getRequestListener(app.fetch);
  const server = createServer(
    { keepAliveTimeout: KEEP_ALIVE_MS, headersTimeout: HEADERS_MS, requestTimeout: REQUEST_MS },
    (request, response) => {
      if (closing) response.setHeader('Connection', 'close');
      void handle(request, response);
    },
  );
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) =>
      reject(new StartupError(whyNot(error, host, port))),
    );
    server.listen(port, host, resolve);
  });
  server.on('error', () => undefined);
  return {
    address: addressOf(server, host),
    async close(deadlineMs) {
      closing = true;
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeIdleConnections();
      const cut = setTimeout(() => server.closeAllConnections(), deadlineMs);
      await closed;
      clearTimeout(cut);
    },
  };
}

function addressOf(server: Server, host: string): string {
  const { port } = server.address() as AddressInfo;
  const name = host === '0.0.0.0' || host === '::' ? 'localhost' : host.includes(':') ? `[${host}]` : host;
  return `http://${name}:${port}`;
}

function whyNot(error: NodeJS.ErrnoException, host: string, port: number): string {
  if (error.code === 'EADDRINUSE') return `port ${port} on ${host} is taken; set PORT to another`;
  if (error.code === 'EACCES') return `not allowed to listen on port ${port}; set PORT to one above 1023`;
  return `cannot listen on ${host}:${port}: ${error.message}`;
}
