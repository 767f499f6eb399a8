import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Received {
  /** ms since the epoch. */
  at: number;
  path: string;
  headers: IncomingHttpHeaders;
  body: string;
  // biome-ignore lint/suspicious/noExplicitAny: whatever was sent
  json: any;
}

type Answer = (
  request: Received,
  response: ServerResponse,
  raw: IncomingMessage,
) => number | undefined | Promise<number | undefined>;

/** Receives webhooks, and writes down each before it answers as it is told to. */
export class Receiver {
  readonly received: Received[] = [];
  /** The status to answer with; undefined: it has answered by itself, or never will. */
  answer: Answer = () => 204;
  private readonly server = createServer((request, response) => void this.take(request, response));

  static async start(): Promise<Receiver> {
    const receiver = new Receiver();
    receiver.server.listen(0, '127.0.0.1');
    await once(receiver.server, 'listening');
    return receiver;
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  url(path = '/'): string {
    return `http://127.0.0.1:${this.port}${path}`;
  }

  at(path: string): Received[] {
    return this.received.filter((request) => request.path === path);
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    this.server.close();
    await once(this.server, 'close');
  }

  private async take(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks).toString();
    const received: Received = {
      at: Date.now(),
      path: request.url ?? '',
      headers: request.headers,
      body,
      json: body === '' ? null : JSON.parse(body),
    };
    this.received.push(received);
    const status = await this.answer(received, response, request);
    if (status !== undefined) response.writeHead(status).end();
  }
}
