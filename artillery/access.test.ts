import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, it, onTestFinished } from 'vitest';
import { openAccess } from './access.ts';
import { readOptions } from './options.ts';

const open = (env: NodeJS.ProcessEnv) => openAccess(env, '/nowhere', 'load-test');

/** @returns the address of a server that answers everything alike. */
async function serve(status: number, body: string): Promise<string> {
  const server = createServer((_, response) => response.writeHead(status).end(body)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function closedPort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

it('says that no service is there', async () => {
  const url = await serve(200, '');
  await expect(open({ TIDEMARK_URL: 'not a url' })).rejects.toThrow('TIDEMARK_URL is not a URL');
  await expect(open({ TIDEMARK_URL: url })).rejects.toThrow('is not Tidemark (GET /readyz: 200)');
  await expect(open({ TIDEMARK_URL: `http://127.0.0.1:${await closedPort()}` })).rejects.toThrow(
    /^no service answers at \S+ \(ECONNREFUSED\): start it with npm start/,
  );
});

it('looks at PORT of this machine where no URL is given', async () => {
  const url = await serve(503, '{"status":"not_ready","database":"unavailable"}');
  const { port } = new URL(url);
  await expect(open({ PORT: port })).rejects.toThrow(`the service at ${url} is not ready`);
  await expect(open({ PORT: port, TIDEMARK_URL: '' })).rejects.toThrow(`the service at ${url} is not ready`);
  const away = `http://127.0.0.1:${await closedPort()}`;
  await expect(open({ PORT: port, TIDEMARK_URL: away })).rejects.toThrow(`no service answers at ${away} `);
  for (const wrong of ['0', '65536', 'http', '-1'])
    await expect(open({ PORT: wrong })).rejects.toThrow(`PORT names no port to send to: ${wrong}`);
});

it('says that the service is not ready', async () => {
  const url = await serve(503, '{"status":"not_ready","database":"unavailable"}');
  await expect(open({ TIDEMARK_URL: url })).rejects.toThrow('is not ready');
});

it('says that there is no key', async () => {
  const url = await serve(200, '{"status":"ready"}');
  await expect(open({ TIDEMARK_URL: url })).rejects.toThrow('no key: set TIDEMARK_KEY');
});

it('reads what it is asked to do', () => {
  expect(readOptions(['smoke'])).toEqual({ scenario: 'smoke' });
  expect(readOptions(['soak', '--duration', '5m'])).toEqual({ scenario: 'soak', durationMs: 300_000 });
  expect(readOptions(['--list'])).toMatch(/^burst$/m);
  expect(readOptions(['--help'])).toContain('TIDEMARK_KEY');
  for (const wrong of [[], ['smoke', 'soak'], ['smoke', '--duration', 'long'], ['--wrong']]) {
    expect(() => readOptions(wrong)).toThrow();
  }
});
