import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { OpenAPIHono } from '@hono/zod-openapi';
import { expect, it, onTestFinished } from 'vitest';
import type { TidemarkError } from '../../model/errors.ts';
import type { App, AppEnv } from '../http/appEnv.ts';
import { problem } from '../http/problem.ts';
import { embedRoute } from './embedRoute.ts';

it('is served as soon as it is built, to be kept, and asked for again by what it is', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'embed-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  const app: App = new OpenAPIHono<AppEnv>();
  app.onError((error, c) => problem(c, error as TidemarkError));
  embedRoute(app, folder);
  const get = (headers: Record<string, string> = {}) => app.request('/console/embed.js', { headers });
  expect((await get()).status).toBe(404);
  await mkdir(join(folder, 'embed'));
  await writeFile(join(folder, 'embed/embed.js'), '1;');
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
