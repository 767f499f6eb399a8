declare const context: unique symbol;

/**
 * The tenant a query runs for. Only `tenantContext` makes one, from an authenticated caller, and no tenant query can
 * be called without: there is no way to forget the filter.
 */
export interface TenantContext {
  readonly tenantId: string;
  readonly [context]: true;
}

/** @internal For `authorize` and tests: everything else is handed a context. */
export function tenantContext(tenantId: string): TenantContext {
  return { tenantId } as TenantContext;
}
