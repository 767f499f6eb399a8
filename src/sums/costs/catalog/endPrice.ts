import { type Actor, COMMAND } from '../../../access/tenancy/auditLog.ts';
import type { TenantContext } from '../../../access/tenancy/tenantContext.ts';
import type { Queryable } from '../../../ground/db/queryable.ts';
import { TidemarkError } from '../../../model/errors.ts';
import { getPrice } from './getPrice.ts';
import { invalidPrices } from './newPrice.ts';
import type { Price } from './price.ts';
import { putPrices } from './putPrices.ts';

/**
 * Has a price that has no end end: what takes its place is the same with an end.
 *
 * @param toMicros the first moment at which it is no longer in force, in µs since the epoch.
 * @returns what has taken its place.
 * @throws {TidemarkError} `not_found`; `price_superseded`; `invalid_request` where it has an end, or begins later; and what
 * `putPrices` throws.
 */
export async function endPrice(
  db: Queryable,
  context: TenantContext,
  id: string,
  toMicros: number,
  actor: Actor = COMMAND,
): Promise<Price> {
  const price = await getPrice(db, context, id);
  if (price.supersededIn !== null) {
    throw new TidemarkError('price_superseded', 'another price has taken the place of this one');
  }
  const fault = (code: string, message: string) =>
    invalidPrices([{ index: 0, pointer: '/effectiveTo', code, message }]);
  if (price.toMicros !== null) {
    throw fault('immutable', 'it has an end already: a price that supersedes this one corrects it');
  }
  if (price.fromMicros !== null && price.fromMicros >= toMicros) {
    throw fault('range_invalid', 'must be after effectiveFrom');
  }
  const { prices } = await putPrices(db, context, [{ ...price, toMicros, supersedes: id }], actor);
  return prices[0]!;
}
