import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** One answer as it came over the socket. */
export interface RawAnswer {
  status: number;
  /** Names in lower case. */
  headers: Record<string, string>;
  body: string;
}

export interface Conversation {
  answers: RawAnswer[];
  /** All that came. */
  text: string;
  /** The server has ended the connection. */
  closed: boolean;
  /** How long that took, in ms. */
  ms: number;
}

/** A socket to the server at `http://host:port`. Errors on it are not raised: servers hang up on such clients. */
export async function open(address: string): Promise<Socket> {
  const { hostname, port } = new URL(address);
  const socket = connect(Number(port), hostname);
  socket.on('error', () => undefined);
  await Promise.race([once(socket, 'connect'), once(socket, 'close')]);
  return socket;
}

/**
 * Sends bytes as they are, and listens until the server closes or is quiet.
 *
 * @param parts sent one after the other, with a little time between them.
 * @param patience how long (ms) to wait for the first byte, and for another one after each.
 */
export async function converse(
  address: string,
  parts: string | Buffer | (string | Buffer)[],
  patience: number | { firstMs: number; quietMs: number } = 400,
): Promise<Conversation> {
  const { firstMs, quietMs } =
    typeof patience === 'number' ? { firstMs: patience, quietMs: patience } : patience;
  const started = performance.now();
  const socket = await open(address);
  let text = '';
  let heard = performance.now();
  socket.on('data', (data) => {
    text += data.toString('latin1');
    heard = performance.now();
  });
  for (const [i, part] of [parts].flat().entries()) {
    if (i > 0) await sleep(20);
    if (!socket.destroyed) socket.write(typeof part === 'string' ? Buffer.from(part, 'latin1') : part);
  }
  heard = performance.now();
  while (!socket.destroyed && performance.now() - heard < (text === '' ? firstMs : quietMs)) await sleep(2);
  const closed = socket.destroyed;
  socket.destroy();
  return { answers: readAnswers(text), text, closed, ms: performance.now() - started };
}

/** The answers in a stream of bytes; what is left over is an answer of status 0. */
export function readAnswers(text: string): RawAnswer[] {
  const answers: RawAnswer[] = [];
  let rest = text;
  while (rest !== '') {
    const head = /^HTTP\/1\.1 (\d{3})[^\r\n]*\r\n((?:[^\r\n]+\r\n)*)\r\n/.exec(rest);
    if (!head) return [...answers, { status: 0, headers: {}, body: rest }];
    const headers: Record<string, string> = {};
    for (const line of head[2]!.split('\r\n').slice(0, -1)) {
      const [name, ...value] = line.split(': ');
      headers[name!.toLowerCase()] = value.join(': ');
    }
    rest = rest.slice(head[0].length);
    const status = Number(head[1]);
    const length = status === 100 ? 0 : Number(headers['content-length'] ?? rest.length);
    const body = rest.slice(0, length);
    rest = rest.slice(length);
    if (status !== 100) answers.push({ status, headers, body });
  }
  return answers;
}
