import { gzipSync } from 'node:zlib';
import { Hono } from 'hono';
import { expect, it } from 'vitest';
import { readBody } from './readBody.ts';

const MIB = 1_048_576;

it('unpacks a large body in few turns of the event loop: under load each takes its time', async () => {
  const app = new Hono().post('/', async (c) => c.text(String((await readBody(c, 8 * MIB)).length)));
  let turns = 0;
  let turning = true;
  const turn = () => {
    turns++;
    const until = performance.now() + 2;
    while (performance.now() < until);
    if (turning) setImmediate(turn);
  };
  setImmediate(turn);
  const body = gzipSync(`[${'{},'.repeat(2_700_000)}{}]`);
  const answer = await app.request('/', { method: 'POST', body, headers: { 'content-encoding': 'gzip' } });
  turning = false;
  expect([answer.status, await answer.text()]).toEqual([200, '8100004']);
  expect(turns).toBeLessThan(200);
});
