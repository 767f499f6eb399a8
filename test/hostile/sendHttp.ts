import { type Agent, request } from 'node:http';
import type { Seen } from './answerFault.ts';
import type { HttpRequest } from './hostileRequest.ts';

/**
 * Sends a request that is HTTP, whatever it says. Where the server has just ended the kept connection that it went out
 * on, it is sent once more, as any client does.
 *
 * @throws {Error} when there is no answer within `timeoutMs`, or the connection breaks before one.
 */
export async function sendHttp(
  agent: Agent,
  address: string,
  sent: HttpRequest,
  timeoutMs: number,
): Promise<Seen> {
  try {
    return await sendOnce(agent, address, sent, timeoutMs);
  } catch (error) {
    if (!(error instanceof StaleConnection)) throw error;
    return sendOnce(agent, address, sent, timeoutMs);
  }
}

class StaleConnection extends Error {}

function sendOnce(agent: Agent, address: string, sent: HttpRequest, timeoutMs: number): Promise<Seen> {
  const { hostname, port } = new URL(address);
  return new Promise((resolve, reject) => {
    const { method, path } = sent;
    const length = sent.body === undefined ? {} : { 'content-length': Buffer.byteLength(sent.body) };
    const headers = { ...sent.headers, ...length };
    const outgoing = request({ agent, hostname, port, method, path, headers }, (incoming) => {
      const chunks: Buffer[] = [];
      const done = () => {
        clearTimeout(timer);
        const answered = incoming.headers as Record<string, string>;
        const bytes = Buffer.concat(chunks);
        resolve({ status: incoming.statusCode!, headers: answered, body: bytes.toString(), bytes });
      };
      const hasEnd = incoming.headers['content-type'] !== 'text/event-stream';
      incoming.on('data', (chunk) => {
        chunks.push(chunk);
        if (hasEnd) return;
        done();
        incoming.destroy();
      });
      incoming.on('error', reject);
      incoming.on('end', done);
    });
    const timer = setTimeout(() => outgoing.destroy(new Error(`no answer in ${timeoutMs} ms`)), timeoutMs);
    outgoing.on('error', (error: NodeJS.ErrnoException) => {
      clearTimeout(timer);
      const stale = outgoing.reusedSocket && ['ECONNRESET', 'EPIPE'].includes(error.code ?? '');
      reject(stale ? new StaleConnection(error.message) : error);
    });
    outgoing.end(sent.body);
  });
}
