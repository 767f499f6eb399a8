import type { TenantContext } from '../../../access/tenancy/tenantContext.ts';
import type { Queryable } from '../../../ground/db/queryable.ts';
import { TidemarkError } from '../../../model/errors.ts';
import { PRICE_COLUMNS, type PriceRow, toPrice } from '../catalog/price.ts';
import { PriceBook } from '../rating/priceBook.ts';
import type { PriceVersion } from './costQuery.ts';

/** Prices that are remembered, of all tenants together. */
const MOST_REMEMBERED = 50_000;

/** A list of prices at one version. */
export interface PriceList extends PriceVersion {
  book: PriceBook;
}

/** The lists of prices that reads go by. What a version has never changes, so it is read once. */
export class PriceBooks {
  /** By tenant, the longest unused first. */
  private readonly known = new Map<string, { version: number; book: PriceBook }>();
  private remembered = 0;

  /**
   * @param db a tenant's reads; one snapshot, that of what is rated.
   * @param version left out: the one of now.
   * @throws {TidemarkError} `invalid_request` where there is no such version yet.
   */
  async read(db: Queryable, { tenantId }: TenantContext, version?: number): Promise<PriceList> {
    const { rows } = await db.query<{ version: string; changed_at: Date }>({
      name: 'price list',
      text: 'select version, changed_at from tenant_data.price_list where tenant_id = $1',
      values: [tenantId],
    });
    const latest = Number(rows[0]?.version ?? 0);
    if (version !== undefined && version > latest) {
      const message = `the list of prices is at version ${latest}`;
      throw new TidemarkError('invalid_request', `priceVersion: ${message}`, {
        errors: [{ index: 0, pointer: '/priceVersion', code: 'out_of_range', message }],
      });
    }
    const wanted = version ?? latest;
    const book = await this.book(db, tenantId, wanted, wanted === latest);
    return { priceVersion: wanted, pricesChangedAt: rows[0]?.changed_at.toISOString() ?? null, book };
  }

  private async book(
    db: Queryable,
    tenantId: string,
    version: number,
    isLatest: boolean,
  ): Promise<PriceBook> {
    if (version === 0) return PriceBook.EMPTY;
    const known = this.known.get(tenantId);
    if (known?.version === version) {
      this.known.delete(tenantId);
      this.known.set(tenantId, known);
      return known.book;
    }
    const { rows } = await db.query<PriceRow>({
      name: 'prices of a version',
      text: `select ${PRICE_COLUMNS} from tenant_data.price
             where tenant_id = $1 and version <= $2 and (superseded_in is null or superseded_in > $2)`,
      values: [tenantId, version],
    });
    const book = new PriceBook(rows.map(toPrice));
    if (isLatest && (known?.version ?? 0) < version) this.remember(tenantId, version, book);
    return book;
  }

  private remember(tenantId: string, version: number, book: PriceBook): void {
    this.forget(tenantId);
    this.known.set(tenantId, { version, book });
    this.remembered += book.size;
    for (const tenant of this.known.keys()) {
      if (this.remembered <= MOST_REMEMBERED || tenant === tenantId) return;
      this.forget(tenant);
    }
  }

  private forget(tenantId: string): void {
    this.remembered -= this.known.get(tenantId)?.book.size ?? 0;
    this.known.delete(tenantId);
  }
}
