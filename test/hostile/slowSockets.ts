import { setTimeout as sleep } from 'node:timers/promises';
import { open } from '../support/rawHttp.ts';

/** First bytes, and what then follows every half second. */
const KINDS = [
  ['GET /healthz HTTP/1.1\r\nHost: x\r\n', 'X-Slow: y\r\n'],
  [
    'POST /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer KEY\r\nContent-Length: 100000\r\n\r\n[',
    ' ',
  ],
  [
    'POST /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer KEY\r\nTransfer-Encoding: chunked\r\n\r\n',
    '1\r\n \r\n',
  ],
  ['', ''],
  ['GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n', ''],
] as const;

/**
 * Opens many connections that send next to nothing, and holds them for as long as the server lets it.
 *
 * @returns how many there were, and those that still lived after `patienceMs`.
 */
export async function slowSockets(address: string, key: string, count: number, patienceMs: number) {
  const sockets = await Promise.all(
    Array.from({ length: count }, async (_, i) => {
      const [first, more] = KINDS[i % KINDS.length]!;
      const socket = await open(address);
      socket.resume();
      socket.write(first.replace('KEY', key));
      return { socket, more };
    }),
  );
  const until = performance.now() + patienceMs;
  while (performance.now() < until && sockets.some(({ socket }) => !socket.destroyed)) {
    await sleep(500);
    for (const { socket, more } of sockets) if (!socket.destroyed && more !== '') socket.write(more);
  }
  const alive = sockets.filter(({ socket }) => !socket.destroyed);
  for (const { socket } of alive) socket.destroy();
  return { opened: sockets.length, alive: alive.length };
}
