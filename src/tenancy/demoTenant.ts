import type { Queryable } from '../db/connections.ts';
import { errorCode, UNIQUE_VIOLATION } from '../db/sqlstate.ts';
import { createKey } from './keys.ts';
import { hashKey } from './secrets.ts';

export const DEMO_TENANT = 'demo';

/** Makes sure of a tenant to try things with, and of its key. Does nothing where both are there. */
export async function ensureDemoTenant(db: Queryable, key: string): Promise<void> {
  await db.query(`insert into tenant (id, name) values ($1, 'Demo') on conflict do nothing`, [DEMO_TENANT]);
  const { rows } = await db.query('select from api_key where secret_hash = $1', [hashKey(key)]);
  if (rows.length > 0) return;
  const demoKey = { tenantId: DEMO_TENANT, scopes: ['ingest' as const, 'read' as const, 'admin' as const] };
  await createKey(db, demoKey, key).catch((error) => {
    if (errorCode(error) !== UNIQUE_VIOLATION) throw error; // an instance that started with us was quicker
  });
}
