import { type HttpServer, listen } from '../../src/faces/http/server.ts';
import { startTestService, type TestService } from './service.ts';

/** A service that listens, and a tenant of it. `stop` ends both. */
export interface ListeningService extends TestService {
  server: HttpServer;
  tenantId: string;
  /** A key of the tenant with every scope. */
  key: string;
}

/** Starts one on a database of its own, for tests that speak HTTP by a socket. `env` as the environment would set it. */
export async function startListeningService(env: Record<string, string> = {}): Promise<ListeningService> {
  const t = await startTestService(env);
  const server = await listen(t.service.app, '127.0.0.1', 0, t.config.http.limits);
  const { id: tenantId, key } = await t.tenant();
  return {
    ...t,
    server,
    tenantId,
    key,
    async stop() {
      await server.close(1_000);
      await t.stop();
    },
  };
}
