import { TidemarkError } from '../../model/errors.ts';
import type { TenantLimits } from '../limits/rateLimiter.ts';
import { type TenantContext, tenantContext } from './tenantContext.ts';
import type { TenantDirectory } from './tenantDirectory.ts';

export const SCOPES = ['ingest', 'read', 'correct', 'admin'] as const;
export type Scope = (typeof SCOPES)[number];

/** Who is calling: a key of one tenant, or a platform key (tenantId null). */
export interface Caller {
  /** Null for the key from ADMIN_KEY. */
  keyId: string | null;
  tenantId: string | null;
  scopes: ReadonlySet<Scope>;
  /** When its key ends, in ms since the epoch; null: it has no end. */
  expiresAt: number | null;
  /** Of its tenant; null for a platform key. */
  limits: TenantLimits | null;
}

/** @throws {TidemarkError} `scope_missing`. */
export function requireScope(caller: Caller, scope: Scope): void {
  if (!caller.scopes.has(scope))
    throw new TidemarkError('scope_missing', `the key lacks the scope "${scope}"`);
}

/** @throws {TidemarkError} `scope_missing` unless it is a platform key with the admin scope. */
export function requirePlatform(caller: Caller): void {
  requireScope(caller, 'admin');
  if (caller.tenantId !== null) throw new TidemarkError('scope_missing', 'only a platform key may do this');
}

/**
 * Whose keys and audit log the caller may handle: those of its own tenant, or for a platform key of the one it asks
 * for (null: all).
 *
 * @throws {TidemarkError} `scope_missing`, `tenant_mismatch`.
 */
export function administeredTenant(caller: Caller, requested: string | null | undefined): string | null {
  requireScope(caller, 'admin');
  if (caller.tenantId === null) return requested ?? null;
  if (requested !== undefined && requested !== caller.tenantId) {
    throw new TidemarkError('tenant_mismatch', 'the key belongs to another tenant');
  }
  return caller.tenantId;
}

/**
 * The tenant the call is about: the key's own, or for a platform key the one it names.
 *
 * @param requested what the caller asked for (X-Tenant-Id).
 * @throws {TidemarkError} `tenant_mismatch`, `tenant_required`, `tenant_unknown`, `tenant_inactive`.
 */
export async function contextFor(
  caller: Caller,
  requested: string | undefined,
  tenants: TenantDirectory,
): Promise<TenantContext> {
  if (caller.tenantId !== null) {
    if (requested !== undefined && requested !== caller.tenantId) {
      throw new TidemarkError('tenant_mismatch', 'the key belongs to another tenant');
    }
    return tenantContext(caller.tenantId);
  }
  if (requested === undefined) {
    throw new TidemarkError('tenant_required', 'a platform key must name the tenant in X-Tenant-Id');
  }
  await tenants.requireActive(requested);
  return tenantContext(requested);
}
