import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { type AddressInfo, createServer as createPlainServer, type Socket } from 'node:net';
import { getRequestListener } from '@hono/node-server';
import type { HttpLimits } from '../../ground/config/http.ts';
import { type ErrorCode, StartupError, TidemarkError } from '../../model/errors.ts';
import type { App } from './appEnv.ts';
import { parserFault, refusalOf, refuse, refuseOnSocket } from './refuse.ts';
import { requestFault } from './requestFault.ts';

/** How often Node looks for requests that take too long, in ms; its default of 30 s would let them live that longer. */
const LOOK_FOR_SLOW_MS = 1_000;
/**
 * Connections that may wait to be accepted; the kernel may cap it (Linux: net.core.somaxconn). Beyond Node's 511 a burst
 * makes clients wait for retransmissions, for seconds, whoever caused it.
 */
const BACKLOG = 4_096;
/** How much of a body nobody wants is still read once its answer is sent. */
const MAX_REST_BYTES = 1_048_576;
/** How long its connection lives on, so that the client can read the answer: a reset may take it away. */
const LOOK_AT_REST_MS = 20;
const MAX_LOOKS_AT_REST = 25;

export interface HttpServer {
  /** `http://host:port`, with the port that was chosen for 0. */
  address: string;
  /**
   * Takes no more connections, tells clients on open ones to leave, and waits for the requests under way; what is
   * still open after `deadlineMs` is cut.
   */
  close(deadlineMs: number): Promise<void>;
}

/**
 * @param onRefused told of each request that does not reach the app.
 * @throws {StartupError} when the address cannot be had.
 */
export async function listen(
  app: App,
  host: string,
  port: number,
  limits: HttpLimits,
  onRefused: (code: ErrorCode) => void = () => undefined,
): Promise<HttpServer> {
  let closing = false;
  const counted = (error: TidemarkError) => {
    onRefused(error.code);
    return error;
  };
  const handle = getRequestListener(app.fetch, {
    hostname: 'localhost', // of a request by HTTP/1.0, which may come without
    errorHandler: (error) => refusalOf(counted(unhandled(error))),
  });
  const server = createServer({
    keepAliveTimeout: limits.keepAliveMs,
    headersTimeout: limits.headersMs,
    requestTimeout: limits.requestMs,
    connectionsCheckingInterval: Math.min(LOOK_FOR_SLOW_MS, limits.headersMs),
    maxHeaderSize: limits.maxHeaderBytes,
    insecureHTTPParser: false, // whatever NODE_OPTIONS says
    requireHostHeader: false, // requestFault looks, and answers as everywhere
  });
  // A client may say that it sends no more and still wait for its answer (RFC 9112 §9.6). Node knows this of old, and
  // describes it nowhere: after the last answer it closes; what is incomplete is a clientError as before.
  Object.assign(server, { httpAllowHalfOpen: true });
  server.maxHeadersCount = 0; // with a limit Node drops headers silently; requestFault counts
  server.maxConnections = limits.maxConnections;
  server.timeout = limits.silenceMs;

  const connections = new WeakMap<object, Connection>();
  const connectionOf = (socket: Socket) => {
    let connection = connections.get(socket);
    if (!connection) {
      connection = { owed: undefined, closesGently: false };
      connections.set(socket, connection);
    }
    return connection;
  };
  const receive = (request: IncomingMessage, response: ServerResponse) => {
    const connection = connectionOf(request.socket);
    connection.owed = response;
    const fault = requestFault(request, limits);
    if (fault === null && !closing && app.plainPosts?.mayTake(request)) {
      // The body comes in the same packet as a rule, and is here in the next tick.
      process.nextTick(takePlainly, connection, request, response, performance.now());
      return;
    }
    mindRest(connection, request, response);
    if (fault) return refuse(response, counted(fault));
    pass(request, response);
  };
  const takePlainly = (
    connection: Connection,
    request: IncomingMessage,
    response: ServerResponse,
    began: number,
  ) => {
    if (app.plainPosts!.take(request, response, began)) return;
    mindRest(connection, request, response);
    pass(request, response);
  };
  const pass = (request: IncomingMessage, response: ServerResponse) => {
    if (closing) response.setHeader('Connection', 'close');
    void handle(request, response);
  };
  server.on('request', receive);
  server.on('checkContinue', (request, response) => {
    // A client that asks first is told to go on by whoever begins to read its body, and by nobody where it is refused.
    request.once('resume', () => {
      if (!response.headersSent) response.writeContinue();
    });
    receive(request, response);
  });
  server.on('checkExpectation', (_, response) => {
    refuse(response, counted(new TidemarkError('expectation_failed', 'Expect may be 100-continue')));
  });
  server.on('connect', (_, socket) => {
    refuseOnSocket(socket, counted(new TidemarkError('method_not_allowed', 'this is no proxy')));
  });
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    const fault = parserFault(error.code);
    if (error.code !== 'ECONNRESET') onRefused(fault.code); // a client that has gone was refused nothing
    giveUp(socket as Socket, connections.get(socket)?.owed, fault);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) =>
      reject(new StartupError(whyNot(error, host, port))),
    );
    server.listen({ port, host, backlog: BACKLOG }, resolve);
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

/**
 * That `listen` would be let, asked before there is anything to take back.
 *
 * @throws {StartupError} which says why not.
 */
export async function requireFreePort(host: string, port: number): Promise<void> {
  const server = createPlainServer((socket) => socket.destroy());
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => reject(new StartupError(whyNot(error, host, port))));
    server.listen({ port, host }, resolve);
  });
  await new Promise((resolve) => server.close(resolve));
}

/** What is known of a connection, for all of its requests. */
interface Connection {
  /** The answer that it owes last. */
  owed: ServerResponse | undefined;
  /** `closeGently` has been here. */
  closesGently: boolean;
}

/** Where the body of a request has not come whole, what is left of it may be unwanted. */
function mindRest(connection: Connection, request: IncomingMessage, response: ServerResponse): void {
  if (request.complete) return;
  if (!connection.closesGently) {
    connection.closesGently = true;
    closeGently(request.socket);
  }
  response.once('finish', () => boundRest(request));
}

/**
 * Ends a connection that sends what is no request, or sends too slowly. Requests that came whole are answered first;
 * the one that broke off is told why, unless it has been answered already.
 */
function giveUp(socket: Socket, owed: ServerResponse | undefined, fault: TidemarkError): void {
  if (owed && !owed.req.complete && owed.headersSent) socket.destroySoon();
  else if (owed?.req.complete && !owed.writableFinished) {
    socket.pause();
    owed.once('close', () => socket.destroySoon());
  } else refuseOnSocket(socket, fault);
}

/** What goes wrong outside the app: nearly always a URL or a Host that is none. */
function unhandled(error: unknown): TidemarkError {
  return (error as Error).name === 'RequestError'
    ? new TidemarkError('malformed_request', 'the URL or Host is not valid')
    : new TidemarkError('internal', 'something went wrong');
}

/**
 * Closing on top of a body that is still coming resets the connection, and the client may lose its answer with it
 * (RFC 9112 §9.6). So Node's close after the last answer announces the end only; `boundRest` cuts.
 */
function closeGently(socket: Socket): void {
  socket.destroySoon = () => {
    socket.end();
    setTimeout(() => socket.destroy(), MAX_LOOKS_AT_REST * LOOK_AT_REST_MS).unref();
  };
}

/** After the answer, a body that is still coming may not come for long, nor much of it. */
function boundRest(request: IncomingMessage): void {
  if (request.complete) return;
  const { socket } = request;
  const before = socket.bytesRead;
  let looks = MAX_LOOKS_AT_REST; // not time: a busy process must have read before it judges
  const look = setInterval(() => {
    if (request.complete || socket.destroyed) clearInterval(look);
    else if (looks-- === 0) socket.destroy();
    else if (socket.bytesRead - before > MAX_REST_BYTES) {
      request.pause();
      socket.pause();
    }
  }, LOOK_AT_REST_MS).unref();
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
