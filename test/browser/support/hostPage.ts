import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

/** What a host answers at a path. */
export interface HostAnswer {
  type: string;
  body: string;
  /** Its Content-Security-Policy. */
  policy?: string;
}

/** A site of somebody else, with pages that show what is of the service: an origin of its own. */
export class Host {
  readonly address: string;
  private readonly server: Server;
  private readonly answers = new Map<string, () => HostAnswer | Promise<HostAnswer>>();

  private constructor(server: Server) {
    this.server = server;
    this.address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  static async open(): Promise<Host> {
    let host: Host | undefined;
    const server = createServer((request, response) => {
      const answer = host?.answers.get(request.url!.split('?')[0]!);
      if (answer === undefined) {
        response.writeHead(request.url === '/favicon.ico' ? 204 : 404).end();
        return;
      }
      Promise.resolve(answer()).then(
        ({ type, body, policy }) => {
          response.writeHead(200, {
            'content-type': `${type}; charset=utf-8`,
            ...(policy !== undefined && { 'content-security-policy': policy }),
          });
          response.end(body);
        },
        () => response.writeHead(500).end(),
      );
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    host = new Host(server);
    return host;
  }

  /** Has a path answered so, from now on. */
  answer(path: string, answer: HostAnswer | (() => HostAnswer | Promise<HostAnswer>)): void {
    this.answers.set(path, typeof answer === 'function' ? answer : () => answer);
  }

  /** The same of a page with this in its body, and what is to be in its head. */
  page(
    path: string,
    { head = '', body = '', policy }: { head?: string; body?: string; policy?: string },
  ): void {
    const html = `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>A shop</title>
      <meta name="viewport" content="width=device-width">${head}</head><body><main><h1>A shop</h1>${body}</main></body></html>`;
    this.answer(path, { type: 'text/html', body: html, ...(policy !== undefined && { policy }) });
  }

  async close(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }
}
