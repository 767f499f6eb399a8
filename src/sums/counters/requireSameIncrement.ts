import type { Queryable } from '../../ground/db/queryable.ts';
import { TidemarkError } from '../../model/errors.ts';
import type { UsageEvent } from '../../model/usageEvent.ts';

/**
 * Tells a repetition from another request under the same Idempotency-Key (draft-ietf-httpapi-idempotency-key-header-07,
 * §2.7), once it has turned out to be counted already.
 *
 * @throws {TidemarkError} `idempotency_key_reused`.
 */
export async function requireSameIncrement(db: Queryable, increment: UsageEvent): Promise<void> {
  const { rows } = await db.query<{ same: boolean }>(
    `select key = $3 and value = $4::numeric as same
     from tenant_data.idempotent_increment where tenant_id = $1 and event_id = $2::uuid`,
    [increment.tenantId, increment.eventId, increment.customerId, increment.value],
  );
  if (rows[0]?.same === false) {
    throw new TidemarkError(
      'idempotency_key_reused',
      'the Idempotency-Key has been used for another increment; nothing was added',
    );
  }
}
