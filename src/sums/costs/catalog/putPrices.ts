import { randomUUID } from 'node:crypto';
import { type Actor, COMMAND } from '../../../access/tenancy/auditLog.ts';
import type { TenantContext } from '../../../access/tenancy/tenantContext.ts';
import type { Queryable } from '../../../ground/db/queryable.ts';
import { waitingForBatches } from '../../../ground/db/waitingForBatches.ts';
import { type EventFault, TidemarkError } from '../../../model/errors.ts';
import { formatTimestamp } from '../../../model/timestamp.ts';
import { seriesDigest, seriesJson } from '../../meters/definition/meterDefinition.ts';
import { USAGE_SERIES } from '../../meters/definition/usageSeries.ts';
import { PRICED } from '../rating/unitPrices.ts';
import { invalidPrices, type NewPrice, overlapFault, overlapping } from './newPrice.ts';
import { type Price, UNIT_COLUMNS } from './price.ts';
import { pricesOf } from './pricesOf.ts';

/** Prices that a tenant may have, besides superseded ones. */
export const MOST_PRICES = 10_000;

interface Fault {
  id?: string;
  code: 'price_unknown' | 'price_superseded' | 'price_overlaps' | 'list_changed' | 'too_many';
  other?: string | null;
}

/** What a list is now. */
export interface PutPrices {
  version: number;
  changedAt: string;
  /** In the order of what was put. */
  prices: Price[];
}

/**
 * Adds prices to the tenant's list, all or none, as its next version. With the first of them all AI usage of the tenant begins
 * to be added up, that of the past too.
 *
 * @param expected the version that the caller went by; left out: whichever.
 * @throws {TidemarkError} `invalid_request`, `price_overlaps`, `price_superseded` also where `expected` is no longer the
 * version, `limit_reached`, `overloaded`.
 */
export async function putPrices(
  db: Queryable,
  context: TenantContext,
  prices: readonly NewPrice[],
  actor: Actor = COMMAND,
  expected: number | null = null,
): Promise<PutPrices> {
  const wanted = prices.map((price) => rowOf(randomUUID(), price));
  const { rows } = await waitingForBatches(() =>
    db.query<{ put: { version: number; changedAt: string } | { faults: Fault[] } }>(
      'select put_prices($1, $2::jsonb, $3::jsonb, $4::jsonb, $5, $6, $7) as put',
      [
        context.tenantId,
        JSON.stringify(wanted),
        JSON.stringify(actor),
        seriesJson(USAGE_SERIES),
        seriesDigest(USAGE_SERIES),
        MOST_PRICES,
        expected,
      ],
    ),
  );
  const { put } = rows[0]!;
  const ids = wanted.map(({ id }) => id);
  if ('faults' in put) throw refused(put.faults, ids);
  const made = new Map((await pricesOf(db, context, ids)).map((price) => [price.id, price]));
  return { ...put, prices: ids.map((id) => made.get(id)!) };
}

/** As a row of `price`. */
function rowOf(id: string, { fromMicros, toMicros, unitPrices, ...terms }: NewPrice) {
  return {
    id,
    model: terms.model,
    match: terms.match,
    provider: terms.provider,
    currency: terms.currency,
    supersedes: terms.supersedes,
    effective_from: fromMicros === null ? '-infinity' : formatTimestamp(fromMicros),
    effective_to: toMicros === null ? 'infinity' : formatTimestamp(toMicros),
    ...Object.fromEntries(
      PRICED.flatMap((unit) =>
        unitPrices[unit] === undefined ? [] : [[UNIT_COLUMNS[unit], unitPrices[unit]]],
      ),
    ),
  };
}

function refused(faults: readonly Fault[], ids: readonly string[]): TidemarkError {
  const [first] = faults;
  if (first!.code === 'too_many') {
    return new TidemarkError('limit_reached', `a tenant may have ${MOST_PRICES} prices that hold`);
  }
  if (first!.code === 'list_changed') {
    return new TidemarkError('price_superseded', 'the list has been changed meanwhile; nothing was stored');
  }
  const places = new Map(ids.map((id, index) => [id, index]));
  const errors = faults
    .map(({ id, code, other }): EventFault => {
      const index = places.get(id!)!;
      if (code === 'price_overlaps') return overlapFault(index, `price ${other}`);
      const message =
        code === 'price_unknown' ? 'there is no such price' : 'another price has taken the place of it';
      return { index, pointer: '/supersedes', code, message };
    })
    .sort((a, b) => a.index - b.index);
  if (faults.some(({ code }) => code === 'price_unknown')) return invalidPrices(errors);
  if (faults.some(({ code }) => code === 'price_superseded')) {
    return new TidemarkError(
      'price_superseded',
      'another price has taken the place of it; nothing was stored',
      {
        errors,
      },
    );
  }
  return overlapping(errors);
}
