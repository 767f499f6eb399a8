import type { TenantContext } from '../../../access/tenancy/tenantContext.ts';
import type { Queryable } from '../../../ground/db/queryable.ts';

/** Those of the slugs by which there is no live meter, in their order. */
export async function missingMeters(
  db: Queryable,
  { tenantId }: TenantContext,
  slugs: readonly string[],
): Promise<string[]> {
  const { rows } = await db.query<{ slug: string }>(
    'select slug from meter where tenant_id = $1 and slug = any($2) and archived_at is null',
    [tenantId, slugs],
  );
  const live = new Set(rows.map(({ slug }) => slug));
  return slugs.filter((slug) => !live.has(slug));
}
