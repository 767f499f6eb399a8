import pg from 'pg';

/** How long one attempt to connect may take, in ms. */
const CONNECT_TIMEOUT_MS = 2_000;

export interface ServerAddress {
  port: number;
  user: string;
  password: string;
  database: string;
}

/** `absent`: nobody listens. `busy`: starting, stopping or full. `stranger`: it refuses our password. */
export type ServerAnswer = 'ready' | 'no-database' | 'busy' | 'stranger' | 'absent';

/** What a server on this machine says to our credentials. Never throws. */
export async function askServer(address: ServerAddress): Promise<ServerAnswer> {
  const client = new pg.Client({
    host: '127.0.0.1',
    ...address,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
  });
  client.on('error', () => undefined);
  try {
    await client.connect();
    return 'ready';
  } catch (error) {
    switch ((error as { code?: string }).code) {
      case '3D000':
        return 'no-database';
      case '28P01':
      case '28000':
        return 'stranger';
      case '57P03':
      case '53300':
        return 'busy';
      default:
        return 'absent';
    }
  } finally {
    await client.end().catch(() => undefined);
  }
}
