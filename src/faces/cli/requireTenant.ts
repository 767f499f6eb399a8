import type pg from 'pg';
import { TenantDirectory } from '../../access/tenancy/tenantDirectory.ts';
import { StartupError } from '../../model/errors.ts';

/** @throws {StartupError} where there is no such tenant. One that is inactive is there. */
export async function requireTenant(client: pg.Client, tenantId: string): Promise<void> {
  const state = await new TenantDirectory(client).stateOf(tenantId);
  if (state === 'unknown') throw new StartupError(`there is no tenant ${tenantId}`);
}
