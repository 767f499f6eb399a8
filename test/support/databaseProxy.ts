import { TcpProxy } from './tcpProxy.ts';

/**
 * A proxy in front of a database.
 *
 * @param options as `TcpProxy.start` takes them.
 * @returns the URL that goes through it, too.
 */
export async function startDatabaseProxy(
  databaseUrl: string,
  options?: Parameters<typeof TcpProxy.start>[1],
): Promise<{ proxy: TcpProxy; url: string }> {
  const url = new URL(databaseUrl);
  const proxy = await TcpProxy.start({ host: url.hostname, port: Number(url.port || 5432) }, options);
  url.hostname = '127.0.0.1';
  url.port = String(proxy.port);
  return { proxy, url: url.href };
}
