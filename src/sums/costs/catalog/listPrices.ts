import type { TenantContext } from '../../../access/tenancy/tenantContext.ts';
import { byAge, listByAge } from '../../../ground/db/listByAge.ts';
import type { Page } from '../../../ground/db/paging.ts';
import type { Queryable } from '../../../ground/db/queryable.ts';
import { formatTimestamp } from '../../../model/timestamp.ts';
import { PRICE_COLUMNS, type Price, type PriceRow, toPrice } from './price.ts';

const LIST = byAge('prices');

export interface PriceListQuery {
  model?: string | undefined;
  provider?: string | undefined;
  currency?: string | undefined;
  /** In force at this moment, in µs since the epoch. */
  atMicros?: number | undefined;
  /** Also superseded ones. */
  superseded?: boolean;
  cursor?: string | undefined;
  limit: number;
}

/** Prices by age, oldest first. @throws {TidemarkError} `cursor_invalid`. */
export async function listPrices(
  db: Queryable,
  context: TenantContext,
  { model, provider, currency, atMicros, superseded = false, ...query }: PriceListQuery,
): Promise<Page<Price>> {
  const page = await listByAge<PriceRow>(
    db,
    LIST,
    {
      columns: PRICE_COLUMNS,
      table: 'price',
      condition: `tenant_id = $4 and (superseded_in is null or $5) and ($6::text is null or model = $6)
        and ($7::text is null or provider = $7) and ($8::text is null or currency = $8)
        and ($9::timestamptz is null or (effective_from <= $9 and $9 < effective_to))`,
      values: [
        context.tenantId,
        superseded,
        model ?? null,
        provider ?? null,
        currency ?? null,
        atMicros === undefined ? null : formatTimestamp(atMicros),
      ],
    },
    query,
  );
  return { data: page.data.map(toPrice), nextCursor: page.nextCursor };
}
