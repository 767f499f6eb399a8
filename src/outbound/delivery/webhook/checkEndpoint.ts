import { once } from 'node:events';
import net from 'node:net';
import tls from 'node:tls';
import { TidemarkError } from '../../../model/errors.ts';
import type { GuardedLookup } from './guardedLookup.ts';

const CONNECT_MS = 3_000;

/**
 * Whether a webhook can be sent there: the URL leads to an address that is allowed, and something answers, with TLS
 * where the URL says so. Nothing is sent.
 *
 * @throws {TidemarkError} `endpoint_forbidden`, `endpoint_unreachable`.
 */
export async function checkEndpoint(
  url: string,
  guard: GuardedLookup,
  timeoutMs = CONNECT_MS,
): Promise<void> {
  const { protocol, hostname, port } = new URL(url);
  const host = hostname.replace(/^\[(.*)\]$/, '$1');
  const signal = AbortSignal.timeout(timeoutMs);
  const abandoned = once(signal, 'abort').then(() => {
    throw new TidemarkError('endpoint_unreachable', `nothing answers at ${host} within ${timeoutMs} ms`);
  });
  abandoned.catch(() => undefined);
  let socket: net.Socket | undefined;
  try {
    await Promise.race([guard.addresses(hostname), abandoned]);
    const secure = protocol === 'https:';
    const to = { host, port: Number(port || (secure ? 443 : 80)), lookup: guard.lookup };
    socket = secure
      ? tls.connect({ ...to, ...(net.isIP(host) === 0 && { servername: host }) })
      : net.connect(to);
    socket.on('error', () => undefined);
    await Promise.race([once(socket, secure ? 'secureConnect' : 'connect'), abandoned]);
  } catch (error) {
    if (error instanceof TidemarkError) throw error;
    const { code, message } = error as NodeJS.ErrnoException;
    throw new TidemarkError('endpoint_unreachable', `${host} cannot be reached: ${code ?? message}`, {
      cause: error,
    });
  } finally {
    socket?.destroy();
  }
}
