import { once } from 'node:events';
import { createServer } from 'node:net';

/** The first of these ports that nobody listens on, on 127.0.0.1; any free one when all are taken. */
export async function freePort(...wanted: number[]): Promise<number> {
  for (const port of wanted) {
    if ((await tryPort(port)) !== undefined) return port;
  }
  return (await tryPort(0))!;
}

async function tryPort(port: number): Promise<number | undefined> {
  const server = createServer();
  try {
    server.listen({ host: '127.0.0.1', port, exclusive: true });
    await once(server, 'listening');
  } catch {
    return undefined;
  }
  const address = server.address();
  server.close();
  await once(server, 'close');
  return typeof address === 'object' ? address?.port : undefined;
}
