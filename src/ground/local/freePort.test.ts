import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { expect, test } from 'vitest';
import { freePort } from './freePort.ts';

test('takes the first that is free, and another when none is', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const taken = (server.address() as AddressInfo).port;
  const free = await freePort();
  expect(await freePort(taken, free)).toBe(free);
  expect(await freePort(taken)).not.toBe(taken);
  server.close();
});
