import type { Queryable } from '../../ground/db/queryable.ts';
import { errorCode, UNIQUE_VIOLATION } from '../../ground/db/sqlstate.ts';
import { TidemarkError } from '../../model/errors.ts';
import { COMMAND } from './auditLog.ts';
import { createKey } from './keys.ts';
import { hashKey } from './secrets.ts';
import { createTenant } from './tenants.ts';

export const DEMO_TENANT = 'demo';

/** Makes sure of a tenant to try things with, and of its key. Does nothing where both are there. */
export async function ensureDemoTenant(db: Queryable, key: string): Promise<void> {
  const { rows: tenants } = await db.query('select from tenant where id = $1', [DEMO_TENANT]);
  if (tenants.length === 0) {
    await createTenant(db, { id: DEMO_TENANT, name: 'Demo' }).catch((error) => {
      if (!(error instanceof TidemarkError && error.code === 'already_exists')) throw error;
    });
  }
  const { rows: keys } = await db.query('select from api_key where secret_hash = $1', [hashKey(key)]);
  if (keys.length > 0) return;
  const demoKey = { tenantId: DEMO_TENANT, scopes: ['ingest' as const, 'read' as const, 'admin' as const] };
  await createKey(db, demoKey, COMMAND, key).catch((error) => {
    if (errorCode(error) !== UNIQUE_VIOLATION) throw error; // an instance that started with us was quicker
  });
}
