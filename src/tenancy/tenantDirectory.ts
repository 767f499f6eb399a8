import type { Queryable } from '../db/connections.ts';
import { TidemarkError } from '../errors.ts';
import { ExpiringCache } from './expiringCache.ts';

/** How long an instance may go on believing in a tenant that another one has made inactive, in ms. */
const TTL_MS = 5_000;

/** Which tenants there are and whether they are active, remembered for a few seconds. */
export class TenantDirectory {
  private readonly db: Queryable;
  private readonly known = new ExpiringCache<'active' | 'inactive' | 'unknown'>(TTL_MS);
  /** Goes up when a tenant changes: what was asked before is not remembered after. */
  private changes = 0;

  constructor(db: Queryable) {
    this.db = db;
  }

  async stateOf(tenantId: string): Promise<'active' | 'inactive' | 'unknown'> {
    const known = this.known.get(tenantId);
    if (known) return known;
    const { changes } = this;
    const asked = performance.now();
    const { rows } = await this.db.query<{ active: boolean }>('select active from tenant where id = $1', [
      tenantId,
    ]);
    const state = rows[0] === undefined ? 'unknown' : rows[0].active ? 'active' : 'inactive';
    if (changes === this.changes) this.known.set(tenantId, state, asked);
    return state;
  }

  /** @throws {TidemarkError} `tenant_unknown` or `tenant_inactive`. */
  async requireActive(tenantId: string): Promise<void> {
    const state = await this.stateOf(tenantId);
    if (state === 'unknown') throw new TidemarkError('tenant_unknown', 'there is no such tenant');
    if (state === 'inactive') throw new TidemarkError('tenant_inactive', 'the tenant is inactive');
  }

  /** Forgets a tenant that has just changed. */
  forget(tenantId: string): void {
    this.changes++;
    this.known.delete(tenantId);
  }
}
