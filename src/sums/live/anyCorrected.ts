import type { TenantContext } from '../../access/tenancy/tenantContext.ts';
import type { TenantReads } from '../../ground/db/tenantReads.ts';

/**
 * Whether an event of one of these windows (starts in ms) has been corrected, by whomever: counters in the memory of an instance
 * hear of what that one corrects, and not of a command, nor of another instance.
 *
 * @returns false where the database does not answer, too.
 */
export async function anyCorrected(
  reads: TenantReads,
  context: TenantContext,
  windowStarts: readonly number[],
): Promise<boolean> {
  const found = reads.as(context).query<{ corrected: boolean }>({
    name: 'any corrected',
    text: `select exists (select from tenant_data.correction_event
                          where tenant_id = $1 and bucket = any ($2::timestamptz[])) as corrected`,
    values: [context.tenantId, windowStarts.map((start) => new Date(start).toISOString())],
  });
  return found.then(
    ({ rows }) => rows[0]!.corrected,
    () => false,
  );
}
