import type { TenantContext } from '../../../access/tenancy/tenantContext.ts';
import type { Queryable } from '../../../ground/db/queryable.ts';
import { TidemarkError } from '../../../model/errors.ts';
import type { Price } from './price.ts';
import { pricesOf } from './pricesOf.ts';

/** A price, also where it is superseded. @throws {TidemarkError} `not_found`. */
export async function getPrice(db: Queryable, context: TenantContext, id: string): Promise<Price> {
  const [price] = await pricesOf(db, context, [id]);
  if (!price) throw new TidemarkError('not_found', 'there is no such price');
  return price;
}
