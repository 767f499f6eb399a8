import { type PriceRow, toPrice } from '../catalog/price.ts';
import { PriceBook } from './priceBook.ts';

/** The list of a tenant as the database tells of it. */
export interface PriceListRow {
  tenant: string;
  version: number;
  /** Those that hold. Null: as they were known. */
  prices: PriceRow[] | null;
}

/** A list at one version. */
export interface RatedBy {
  version: number;
  book: PriceBook;
}

/** Of a tenant that has never had a price. */
const NO_PRICES: RatedBy = { version: 0, book: PriceBook.EMPTY };

/** The prices by which writers rate events as they come, of the tenants that need it. Never changed. */
export class PricesOfTenants {
  static readonly NONE = new PricesOfTenants(new Map());

  private readonly books: ReadonlyMap<string, RatedBy>;

  private constructor(books: ReadonlyMap<string, RatedBy>) {
    this.books = books;
  }

  /** By tenant, the version of its list that is known, as JSON: what has not changed need not be told. */
  get versions(): string {
    return JSON.stringify(
      Object.fromEntries([...this.books].map(([tenant, { version }]) => [tenant, version])),
    );
  }

  /** The prices of a tenant; none where it has none, or nobody needs them. */
  of(tenantId: string): RatedBy {
    return this.books.get(tenantId) ?? NO_PRICES;
  }

  /** The same a while later: a list that has not changed is not read again. */
  next(lists: readonly PriceListRow[]): PricesOfTenants {
    if (lists.length === 0) return this.books.size === 0 ? this : PricesOfTenants.NONE;
    return new PricesOfTenants(
      new Map(
        lists.map(({ tenant, version, prices }) => [
          tenant,
          {
            version,
            book: prices === null ? this.books.get(tenant)!.book : new PriceBook(prices.map(toPrice)),
          },
        ]),
      ),
    );
  }
}
