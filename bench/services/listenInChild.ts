import type { AddressInfo } from 'node:net';
import { serve } from '@hono/node-server';
import type { Hono } from 'hono';

/** Serves an app in the way @hono/node-server documents, and tells the parent the port. */
export function listenInChild(app: Hono, close: () => Promise<void> = async () => undefined): void {
  const server = serve({ fetch: app.fetch, hostname: '127.0.0.1', port: 0 }, ({ port }: AddressInfo) =>
    process.send!(port),
  );
  process.once('SIGTERM', async () => {
    server.close();
    await close();
    process.exit();
  });
  process.once('disconnect', () => process.exit(1));
}
