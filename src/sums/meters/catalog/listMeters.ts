import type { TenantContext } from '../../../access/tenancy/tenantContext.ts';
import { byAge, listByAge } from '../../../ground/db/listByAge.ts';
import type { Page } from '../../../ground/db/paging.ts';
import type { Queryable } from '../../../ground/db/queryable.ts';
import { METER_COLUMNS, METERS, type Meter, type MeterRow, toMeter } from './meter.ts';

const LIST = byAge('meters');
/** Of whoever may see some: a list of its own, which takes no cursor of the other. */
const VISIBLE = byAge('visible meters');

export interface MeterListQuery {
  /** Also those that are archived. */
  archived?: boolean | undefined;
  /** Only these, of whoever may see them; null: who may see all. */
  slugs?: string[] | null;
  cursor?: string | undefined;
  limit: number;
}

/** Meters by age, oldest first. @throws {TidemarkError} `cursor_invalid`. */
export async function listMeters(
  db: Queryable,
  context: TenantContext,
  { archived = false, slugs, ...query }: MeterListQuery,
): Promise<Page<Meter>> {
  const rows = {
    columns: METER_COLUMNS,
    table: METERS,
    condition: 'tenant_id = $4 and (archived_at is null or $5) and ($6::text[] is null or slug = any($6))',
    values: [context.tenantId, archived, slugs ?? null],
  };
  const page = await listByAge<MeterRow>(db, slugs === undefined ? LIST : VISIBLE, rows, query);
  return { data: page.data.map(toMeter), nextCursor: page.nextCursor };
}
