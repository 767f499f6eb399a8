import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterEach, expect, test } from 'vitest';
import { Client } from './client.ts';
import { loadTenant } from './loadTenant.ts';
import { readSeeds } from './readSeeds.ts';

/** A service that loses its first answers to who makes an alert rule, before or after it has made it. */
class Forgetful {
  readonly rules: { name: string }[] = [];
  private readonly server: Server;
  private readonly losses: ('before' | 'after')[];

  constructor(losses: ('before' | 'after')[]) {
    this.losses = losses;
    this.server = createServer(async (request, response) => {
      const answer = await this.answer(request);
      if (answer === null) request.socket.destroy();
      else response.end(JSON.stringify(answer));
    });
  }

  private async answer(request: IncomingMessage): Promise<object | null> {
    if (request.method === 'GET') {
      return { data: request.url!.startsWith('/v1/alert-rules') ? this.rules : [], nextCursor: null };
    }
    const body = JSON.parse(await text(request));
    if (request.url !== '/v1/alert-rules') return {};
    const loss = this.losses.shift();
    if (loss !== 'before') this.rules.push(body);
    return loss === undefined ? body : null;
  }

  async listen(): Promise<string> {
    await new Promise<void>((resolve) => this.server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  close(): void {
    this.server.closeAllConnections();
    this.server.close();
  }
}

let service: Forgetful;
afterEach(() => service.close());

test('a rule whose answer was lost is made once, whether it was made before or not', async () => {
  service = new Forgetful(['after', 'before', 'after']);
  const tenant = (await readSeeds()).traffic[0]!;
  await loadTenant(new Client(await service.listen(), 'tm_nobody'), tenant);
  expect(tenant.alertRules.length).toBeGreaterThan(1);
  expect(service.rules.map(({ name }) => name)).toEqual(tenant.alertRules.map(({ name }) => name));
});
