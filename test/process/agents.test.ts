import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { setTimeout } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type HttpServer, listen } from '../../src/faces/http/server.ts';
import { freePort } from '../../src/ground/local/freePort.ts';
import { describeEngine } from '../support/database.ts';
import { startTestService, type TestService, until } from '../support/service.ts';

const AGENTS = join(import.meta.dirname, '../../deploy/agents');

function isInstalled(program: string, ...args: string[]): boolean {
  try {
    execFileSync(program, args, { stdio: 'pipe' });
    return true;
  } catch {
    console.warn(
      `${program} IS NOT INSTALLED, or lacks a module: its configuration in deploy/agents is NOT RUN.`,
    );
    return false;
  }
}
const nginx = isInstalled('nginx', '-v');
const syslogNg = isInstalled('syslog-ng', '--version');

/** docs/shippers.md: what stands in deploy/agents, run with nothing changed but addresses, paths and the key. */
describeEngine('the configurations of agents', () => {
  let t: TestService;
  let server: HttpServer;
  let folder: string;
  let id: string;
  let key: string;
  const running: ChildProcess[] = [];
  beforeAll(async () => {
    t = await startTestService();
    server = await listen(t.service.app, '127.0.0.1', 0, t.config.http.limits);
    folder = await mkdtemp(join(tmpdir(), 'tidemark-agents-'));
    ({ id, key } = await t.tenant());
  });
  afterAll(async () => {
    for (const child of running) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      child.kill();
      await once(child, 'exit');
    }
    await server?.close(1_000);
    await t?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  const start = (program: string, ...args: string[]) => {
    const child = spawn(program, args, { stdio: 'ignore' });
    running.push(child);
    return child;
  };
  const configuration = async (name: string, ...changes: [from: string, to: string][]) => {
    let text = await readFile(join(AGENTS, name), 'utf8');
    for (const [from, to] of [
      ['http://127.0.0.1:8080', server.address],
      ['tm_…', key],
      ...changes,
    ] as const) {
      expect(text).toContain(from);
      text = text.replaceAll(from, to);
    }
    await writeFile(join(folder, name), text);
    return join(folder, name);
  };
  const stored = async (customer: string) => {
    const { rows } = await t.sql.query(
      'select endpoint, latency_ms, metadata from event where tenant_id = $1 and customer_id = $2 order by endpoint',
      [id, customer],
    );
    return rows;
  };

  describe.skipIf(!nginx || !syslogNg)('nginx and syslog-ng', () => {
    let site: string;
    const log = () => join(folder, 'tidemark.log');
    const get = (path: string, user: string) =>
      fetch(site + path, { headers: { authorization: `Basic ${btoa(`${user}:x`)}` } }).then((r) => r.text());
    beforeAll(async () => {
      const port = await freePort();
      site = `http://127.0.0.1:${port}`;
      const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
        (n) => `${n}_temp_path ${folder}/${n};`,
      );
      const main = join(folder, 'nginx-main.conf');
      await writeFile(
        main,
        `daemon off; pid ${folder}/nginx.pid; error_log ${folder}/error.log; worker_processes 1; events {}
         http { ${temporary.join(' ')} include ${AGENTS}/nginx.conf;
           server { listen 127.0.0.1:${port}; access_log ${log()} tidemark; location / { return 200 "x"; } } }`,
      );
      start('nginx', '-c', main, '-e', join(folder, 'error.log'));
      const conf = await configuration(
        'syslog-ng.conf',
        ['/var/log/nginx/tidemark.log', log()],
        ['disk-buffer(', `disk-buffer(dir("${folder}") `],
      );
      await until(() =>
        fetch(site).then(
          () => true,
          () => false,
        ),
      );
      const own = ['persist', 'pid', 'control'].map((name) => join(folder, name));
      start('syslog-ng', '-F', '--no-caps', '-f', conf, '-R', own[0]!, '-p', own[1]!, '-c', own[2]!);
    });

    it('send each request once, with its latency; what is no event holds nothing back', async () => {
      await get('/a/1', 'alice');
      await get('/%ff', 'alice'); // not UTF-8
      await get('/%22quoted%22%5C/€', 'alice');
      await until(async () => (await stored('alice')).length >= 2, 30_000);
      const rows = await stored('alice');
      expect(rows.map(({ endpoint }) => endpoint)).toEqual(['/"quoted"\\/€', '/a/1']);
      expect(rows[1]).toMatchObject({
        latency_ms: expect.any(Number),
        metadata: { method: 'GET', status: 200, bytes: 1 },
      });
      await writeFile(log(), 'no JSON\n', { flag: 'a' });
      await get('/a/2', 'bob');
      await until(async () => (await stored('bob')).length === 1, 30_000);
      await t.call('GET', '/metrics').then(({ body }) => {
        for (const reason of ['invalid_encoding', 'invalid_json'])
          expect(body).toContain(`tidemark_events_rejected_total{way="http",reason="${reason}"} 1`);
      });
    });

    it('drop what is refused alone, and go on', async () => {
      await writeFile(log(), '{"customerId":5}\n', { flag: 'a' });
      const problems = async () =>
        /invalid_events"\} (\d+)/.exec((await t.call('GET', '/metrics')).body)?.[1];
      const before = await problems();
      await until(async () => (await problems()) !== before, 30_000);
      await get('/a/3', 'carol');
      await until(async () => (await stored('carol')).length === 1, 30_000);
    });
  });

  it('pino: each event once, those before the process ends too', async () => {
    // An answer that takes its time: what is under way when pino's stream ends is sent all the same.
    const slow = createServer(async (request, response) => {
      const body = await buffer(request);
      await setTimeout(300);
      const { authorization = '', 'content-type': type = '' } = request.headers;
      const answer = await fetch(server.address + request.url, {
        method: 'POST',
        headers: { authorization, 'content-type': type },
        body,
      });
      response.writeHead(answer.status).end(await answer.text());
    }).listen(0, '127.0.0.1');
    await once(slow, 'listening');
    const url = `http://127.0.0.1:${(slow.address() as AddressInfo).port}/v1/events?onInvalid=skip`;
    const script = `import pino from ${JSON.stringify(import.meta.resolve('pino'))};
      const meter = pino(pino.transport({ target: ${JSON.stringify(join(AGENTS, 'pino.mjs'))},
        options: ${JSON.stringify({ url, key })} }));
      for (let n = 0; n < 1_100; n++) meter.info({ customerId: 'pino', apiEndpoint: '/' + (n % 7) });`;
    const file = join(folder, 'pino.mjs');
    await writeFile(file, script);
    const child = start(process.execPath, file);
    expect(await once(child, 'exit')).toEqual([0, null]);
    slow.close();
    expect(await stored('pino')).toHaveLength(1_100);
  });
});
