import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runInNewContext } from 'node:vm';
import { OpenAPIHono } from '@hono/zod-openapi';
import { expect, it, onTestFinished } from 'vitest';
import type { TidemarkError } from '../../model/errors.ts';
import type { App, AppEnv } from '../http/appEnv.ts';
import { problem } from '../http/problem.ts';
import { embedRoute } from './embedRoute.ts';
import { EMBED_MODULES, embedScript } from './embedScript.ts';

/** Modules as the compiler leaves them; those that are not named are empty. */
const reading = (modules: Record<string, string>) => (path: string) =>
  modules[path.slice('embed/'.length, -'.js'.length)] ?? '';

it('joins modules to one script that leaves nothing outside', () => {
  const script = embedScript(
    reading({
      decimals: `const own = 1;\nexport function one() {\n    return own;\n}\nexport const two = () => 2;\n`,
      times: `import { one, two } from './decimals.js';\nexport class Sum {\n    value = one() + two();\n}\n`,
      element: `import {\n    Sum,\n} from './times.js';\nimport { one } from './decimals.js';\nglobalThis.told = new Sum().value + one();\n`,
    }),
  )!;
  const outside: Record<string, unknown> = {};
  runInNewContext(script, outside);
  expect(outside).toEqual({ told: 4 });
});

it('refuses what it cannot join', () => {
  const joined = (modules: Record<string, string>) => () => embedScript(reading(modules));
  expect(joined({ decimals: `import { x } from './element.js';\n` })).toThrow('stands behind it');
  expect(joined({ decimals: `import x from 'preact';\n` })).toThrow('cannot be joined');
  expect(joined({ decimals: `export default 1;\n` })).toThrow('cannot be joined');
  expect(joined({ decimals: `export { one } from './times.js';\n` })).toThrow('cannot be joined');
  expect(embedScript(() => undefined)).toBe(null);
});

it('is served as soon as it is compiled, to be kept, and asked for again by what it is', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'embed-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  const app: App = new OpenAPIHono<AppEnv>();
  app.onError((error, c) => problem(c, error as TidemarkError));
  embedRoute(app, folder);
  const get = (headers: Record<string, string> = {}) => app.request('/console/embed.js', { headers });
  expect((await get()).status).toBe(404);
  await mkdir(join(folder, 'embed'));
  for (const path of EMBED_MODULES) await writeFile(join(folder, path), '');
  const answer = await get();
  expect([answer.status, answer.headers.get('content-type')]).toEqual([
    200,
    'text/javascript; charset=utf-8',
  ]);
  expect(answer.headers.get('cross-origin-resource-policy')).toBe('cross-origin');
  expect(answer.headers.get('access-control-allow-origin')).toBe('*');
  expect(answer.headers.get('cache-control')).toBe('public, max-age=3600');
  const etag = answer.headers.get('etag')!;
  expect((await get({ 'if-none-match': etag })).status).toBe(304);
  expect((await get({ 'accept-encoding': 'gzip' })).headers.get('content-encoding')).toBe('gzip');
});
