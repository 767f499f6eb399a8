import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { COMMAND } from '../../access/tenancy/auditLog.ts';
import { registerCustomers, updateCustomer } from '../../access/tenancy/customers.ts';
import { createKey } from '../../access/tenancy/keys.ts';
import { hashKey } from '../../access/tenancy/secrets.ts';
import { tenantContext } from '../../access/tenancy/tenantContext.ts';
import { createTenant } from '../../access/tenancy/tenants.ts';
import { errorCode, UNIQUE_VIOLATION } from '../../ground/db/sqlstate.ts';
import { StartupError, TidemarkError } from '../../model/errors.ts';
import { createAlertRule } from '../../outbound/delivery/alertRules.ts';
import { createMeter } from '../../sums/meters/catalog/createMeter.ts';
import { requireNewMeter } from '../../sums/meters/catalog/newMeter.ts';
import type { SeedTenant } from './readSeeds.ts';

/** How often it is tried again while another instance writes batches that take long, and after how many ms. */
const TRIES = 10;
const RETRY_MS = 500;

/**
 * Makes sure of a tenant to try things with, and of its key. Where the tenant is there, nothing of it is touched: its
 * customers, alert rules and meters come with it, in one transaction, and never again.
 *
 * @param client in no transaction; as whoever migrates.
 * @param key the secret of its key, made elsewhere.
 * @throws {StartupError} when batches of other instances leave no room to make it.
 */
export async function makeFirstTenant(client: pg.Client, tenant: SeedTenant, key: string): Promise<void> {
  const { rows: tenants } = await client.query('select from tenant where id = $1', [tenant.id]);
  for (let tries = 1; tenants.length === 0 && !(await make(client, tenant)); tries++) {
    if (tries === TRIES)
      throw new StartupError(`the tenant ${tenant.id} cannot be made while events are written; start again`);
    await sleep(RETRY_MS);
  }
  const { rows: keys } = await client.query('select from api_key where secret_hash = $1', [hashKey(key)]);
  if (keys.length > 0) return;
  await createKey(client, { tenantId: tenant.id, scopes: tenant.keyScopes }, COMMAND, key).catch((error) => {
    if (errorCode(error) !== UNIQUE_VIOLATION) throw error; // an instance that started with us was quicker
  });
}

/** @returns whether the tenant is there now; false: batches were in the way, and nothing was made. */
async function make(client: pg.Client, tenant: SeedTenant): Promise<boolean> {
  const context = tenantContext(tenant.id);
  await client.query('begin');
  try {
    await createTenant(client, tenant);
    // Before the customers: rules and meters wait for batches, which may wait for customers.
    for (const rule of tenant.alertRules) await createAlertRule(client, context, rule);
    for (const meter of tenant.meters) {
      await createMeter(client, context, requireNewMeter(meter), tenant.meters.length);
    }
    await registerCustomers(
      client,
      context,
      tenant.customers.map(({ id }) => id),
    );
    for (const { id, name } of tenant.customers) {
      if (name !== null) await updateCustomer(client, context, id, { name });
    }
    await client.query('commit');
    return true;
  } catch (error) {
    await client.query('rollback');
    if (!(error instanceof TidemarkError)) throw error;
    if (error.code === 'already_exists') return true; // made meanwhile by an instance that started with us
    if (error.code === 'overloaded') return false;
    throw error;
  }
}
