import type { Queryable } from '../../ground/db/queryable.ts';
import { TidemarkError } from '../../model/errors.ts';
import type { TenantLimits } from '../limits/rateLimiter.ts';
import { ExpiringCache } from './expiringCache.ts';
import { type LimitDefaults, limitsOf } from './tenantLimits.ts';

/** How long an instance may go on believing in a tenant that another one has changed, in ms. */
const TTL_MS = 5_000;

export interface KnownTenant {
  state: 'active' | 'inactive' | 'unknown';
  limits: TenantLimits;
  otlp: OtlpSettings;
}

/** What a tenant has said about what comes by OTLP. */
export interface OtlpSettings {
  /** Keys of attributes in which the customer is; null: the usual ones. */
  customerAttributes: readonly string[] | null;
  /** Whom a call is of that names nobody; null: it is refused. */
  defaultCustomerId: string | null;
}

/** Which tenants there are, whether they are active and what they may send, remembered for a few seconds. */
export class TenantDirectory {
  private readonly db: Queryable;
  private readonly defaults: LimitDefaults;
  private readonly known = new ExpiringCache<KnownTenant>(TTL_MS);
  /** Goes up when a tenant changes: what was asked before is not remembered after. */
  private changes = 0;

  /** @param defaults limits of tenants that have none of their own. */
  constructor(db: Queryable, defaults: LimitDefaults = { requestsPerSecond: 0, eventsPerSecond: 0 }) {
    this.db = db;
    this.defaults = defaults;
  }

  async find(tenantId: string): Promise<KnownTenant> {
    const known = this.known.get(tenantId);
    if (known) return known;
    const { changes } = this;
    const asked = performance.now();
    const { rows } = await this.db.query<{
      active: boolean;
      requests_per_second: number | null;
      events_per_second: number | null;
      otlp_customer_attributes: string[] | null;
      otlp_default_customer_id: string | null;
    }>(
      `select active, requests_per_second, events_per_second, otlp_customer_attributes, otlp_default_customer_id
       from tenant where id = $1`,
      [tenantId],
    );
    const [row] = rows;
    const found: KnownTenant = {
      state: row === undefined ? 'unknown' : row.active ? 'active' : 'inactive',
      limits: limitsOf(row ?? { requests_per_second: 0, events_per_second: 0 }, this.defaults),
      otlp: {
        customerAttributes: row?.otlp_customer_attributes ?? null,
        defaultCustomerId: row?.otlp_default_customer_id ?? null,
      },
    };
    if (changes === this.changes) this.known.set(tenantId, found, asked);
    return found;
  }

  async stateOf(tenantId: string): Promise<KnownTenant['state']> {
    return (await this.find(tenantId)).state;
  }

  /** @throws {TidemarkError} `tenant_unknown` or `tenant_inactive`. */
  async requireActive(tenantId: string): Promise<KnownTenant> {
    const tenant = await this.find(tenantId);
    if (tenant.state === 'unknown') throw new TidemarkError('tenant_unknown', 'there is no such tenant');
    if (tenant.state === 'inactive') throw new TidemarkError('tenant_inactive', 'the tenant is inactive');
    return tenant;
  }

  /** Forgets a tenant that has just changed. */
  forget(tenantId: string): void {
    this.changes++;
    this.known.delete(tenantId);
  }
}
