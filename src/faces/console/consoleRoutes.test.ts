import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { BlockList } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { OpenAPIHono } from '@hono/zod-openapi';
import { Registry } from 'prom-client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WrongKeys } from '../../access/tenancy/wrongKeys.ts';
import { TidemarkError } from '../../model/errors.ts';
import type { App, AppEnv } from '../http/appEnv.ts';
import { problem } from '../http/problem.ts';
import { consoleRoutes } from './consoleRoutes.ts';
import { DemoCode } from './demoCode.ts';

/** A page in small, as it is when it has been built. */
const FILES = {
  'main.js': `document.title = 'in small';\n`,
  'console.css': `:root { color-scheme: light dark; }\n`.repeat(20),
  'embed/embed.js': `1;\n`,
  'secret.txt': 'not for anybody',
};

let folder: string;
let app: App;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'console-'));
  for (const [path, text] of Object.entries(FILES)) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), text);
  }
  app = appOn(folder);
});
afterAll(() => rm(folder, { recursive: true }));

let code: DemoCode;

function appOn(place: string, perMinute = 100): App {
  const made: App = new OpenAPIHono<AppEnv>();
  made.onError((error, c) => problem(c, error as TidemarkError));
  made.notFound((c) => problem(c, new TidemarkError('not_found', 'nothing here')));
  code = new DemoCode('tm_demo');
  const wrongKeys = new WrongKeys(perMinute, new Registry());
  consoleRoutes(made, { demoCode: code, wrongKeys, trustedProxies: new BlockList() }, place);
  return made;
}

const get = (path: string, headers: Record<string, string> = {}) => app.request(path, { headers });
describe('the document', () => {
  it.each(['/console', '/console/', '/console/now', '/console/customers/a%2Fb.c/x', '/console/nothing'])(
    'is the answer to %s',
    async (path) => {
      const answer = await get(path);
      expect([answer.status, answer.headers.get('content-type')]).toEqual([200, 'text/html; charset=utf-8']);
      expect(await answer.text()).toContain('<div id="console"></div>');
    },
  );

  it('lets no inline script run, and has none', async () => {
    const answer = await get('/console/now');
    expect(await answer.text()).not.toMatch(/<script(?![^>]*src)|<style| on\w+=/);
    const policy = answer.headers.get('content-security-policy')!;
    expect(policy).toContain(`script-src 'self';`);
    expect(policy).toContain(`default-src 'none'`);
    expect(policy).not.toContain('unsafe');
  });
});

describe('files', () => {
  it('are served as what they are, and asked for again', async () => {
    for (const [path, type] of [
      ['main.js', 'text/javascript; charset=utf-8'],
      ['console.css', 'text/css; charset=utf-8'],
    ] as const) {
      const answer = await get(`/console/assets/${path}`);
      expect([answer.status, answer.headers.get('content-type')]).toEqual([200, type]);
      expect(answer.headers.get('cache-control')).toBe('no-cache');
      expect(await answer.text()).toBe(FILES[path]);
      const head = await app.request(`/console/assets/${path}`, { method: 'HEAD' });
      expect([head.status, head.headers.get('etag')]).toEqual([200, answer.headers.get('etag')]);
    }
  });

  it('are zipped for those who take it, under a tag of their own', async () => {
    const path = '/console/assets/console.css';
    const plain = await get(path);
    for (const accepted of ['gzip', 'br, gzip;q=0.5', 'x-gzip', '*', 'deflate, GZIP']) {
      const answer = await get(path, { 'accept-encoding': accepted });
      expect([accepted, answer.headers.get('content-encoding')]).toEqual([accepted, 'gzip']);
      const bytes = Buffer.from(await answer.arrayBuffer());
      expect(answer.headers.get('content-length')).toBe(String(bytes.length));
      expect(gunzipSync(bytes).toString()).toBe(FILES['console.css']);
      expect(answer.headers.get('etag')).not.toBe(plain.headers.get('etag'));
      expect(answer.headers.get('vary')).toBe('Accept-Encoding');
    }
    for (const accepted of ['', 'br', 'gzip;q=0', 'gzip; q=0.0, *', 'identity']) {
      const answer = await get(path, { 'accept-encoding': accepted });
      expect([accepted, answer.headers.get('content-encoding')]).toEqual([accepted, null]);
    }
  });

  it('that a browser has are not sent again', async () => {
    for (const headers of [{}, { 'accept-encoding': 'gzip' }]) {
      for (const path of ['/console/assets/main.js', '/console/now']) {
        const etag = (await get(path, headers)).headers.get('etag')!;
        for (const known of [etag, `W/${etag}`, `"x", ${etag}`, '*']) {
          const answer = await get(path, { ...headers, 'if-none-match': known });
          expect([known, answer.status, await answer.text()]).toEqual([known, 304, '']);
          expect(answer.headers.get('etag')).toBe(etag);
        }
        expect((await get(path, { ...headers, 'if-none-match': '"x"' })).status).toBe(200);
      }
    }
  });

  it.each([
    'secret.txt',
    'there-is-none.js',
    '',
    '../../../package.json',
    '..%2f..%2f..%2fpackage.json',
    '%2e%2e/%2e%2e/package.json',
    'embed/../main.jsx',
    'main.js%00',
    '/etc/passwd',
    'embed',
    'embed/embed.js',
    'constructor',
    '__proto__',
  ])('"%s" is none', async (path) => {
    const answer = await get(`/console/assets/${path}`);
    expect([path, answer.status]).toEqual([path, 404]);
  });

  it('written after the start are not served, nor is what has changed since', async () => {
    await writeFile(join(folder, 'late.js'), '1;');
    await writeFile(join(folder, 'console.css'), '2;');
    expect((await get('/console/assets/late.js')).status).toBe(404);
    expect(await (await get('/console/assets/console.css')).text()).toBe(FILES['console.css']);
  });
});

it('says how it is compiled where it has not been, and is there once it has', async () => {
  const empty = join(folder, 'not-yet');
  app = appOn(empty);
  for (const path of ['/console', '/console/now', '/console/assets/main.js']) {
    const answer = await get(path);
    expect([answer.status, answer.headers.get('content-type')]).toEqual([404, 'application/problem+json']);
    expect(await answer.json()).toMatchObject({
      code: 'not_found',
      detail: expect.stringContaining('npm run build'),
    });
  }
  await mkdir(empty);
  await writeFile(join(empty, 'main.js'), '1;');
  expect((await get('/console/now')).status).toBe(200);
});

describe('the code of a start', () => {
  const exchange = (body: unknown, type = 'application/json') =>
    app.request('/console/code', {
      method: 'POST',
      headers: { 'content-type': type },
      body: typeof body === 'string' ? body : JSON.stringify(body),
    });
  const refusedWith = async (answer: Response): Promise<[status: number, code: string]> => {
    const { code } = (await answer.json()) as { code: string };
    return [answer.status, code];
  };

  it('is exchanged for the demo key, once', async () => {
    app = appOn(folder);
    expect(await refusedWith(await exchange({ code: `${code.code}x` }))).toEqual([401, 'code_unknown']);
    const answer = await exchange({ code: code.code });
    expect([answer.status, answer.headers.get('cache-control')]).toEqual([200, 'no-store']);
    expect(await answer.json()).toEqual({ key: 'tm_demo' });
    expect(await refusedWith(await exchange({ code: code.code }))).toEqual([410, 'code_spent']);
  });

  it('is asked for as JSON, with nothing else in it', async () => {
    app = appOn(folder);
    for (const body of [
      {},
      { code: '' },
      { code: 1 },
      { code: 'x', more: 1 },
      [],
      null,
      { code: 'x'.repeat(257) },
    ])
      expect(await refusedWith(await exchange(body))).toEqual([400, 'invalid_request']);
    expect(await refusedWith(await exchange('{'))).toEqual([400, 'invalid_json']);
    expect(await refusedWith(await exchange({ code: code.code }, 'text/plain'))).toEqual([
      415,
      'unsupported_media_type',
    ]);
    expect((await exchange({ code: code.code })).status).toBe(200);
  });

  it('slows down who guesses', async () => {
    app = appOn(folder, 2);
    const answers: string[] = [];
    for (let i = 0; i < 5; i++) answers.push((await refusedWith(await exchange({ code: `wrong${i}` })))[1]);
    // The third is let through in turn, as a wrong key is.
    expect(answers).toEqual([
      ...['code_unknown', 'code_unknown', 'code_unknown'],
      ...['too_many_requests', 'too_many_requests'],
    ]);
    expect(await refusedWith(await exchange({ code: code.code }))).toEqual([429, 'too_many_requests']);
  });
});
