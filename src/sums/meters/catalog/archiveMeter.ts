import { type Actor, COMMAND, writeEntries } from '../../../access/tenancy/auditLog.ts';
import type { TenantContext } from '../../../access/tenancy/tenantContext.ts';
import type { Queryable } from '../../../ground/db/queryable.ts';
import { errorCode, METER_IN_USE } from '../../../ground/db/sqlstate.ts';
import { waitingForBatches } from '../../../ground/db/waitingForBatches.ts';
import { TidemarkError } from '../../../model/errors.ts';
import { findMeter, meterState, noSuchMeter } from './meter.ts';
import { retireUnusedSeries } from './retireUnusedSeries.ts';

/**
 * Archives a meter: it is fed and read no more, and its slug is free. The events stay, so another meter of the same
 * definition counts them again.
 *
 * @throws {TidemarkError} `not_found` also where it is archived; `meter_in_use` while alert rules compare it;
 * `overloaded`.
 */
export async function archiveMeter(
  db: Queryable,
  context: TenantContext,
  slugOrId: string,
  actor: Actor = COMMAND,
): Promise<void> {
  const { id, slug } = await findMeter(db, context.tenantId, slugOrId);
  const { rows } = await waitingForBatches(() =>
    db.query(
      `with gone as (
         update meter set archived_at = now(), updated_at = now()
         where tenant_id = $1 and id = $2 and archived_at is null
         returning *
       ), logged as (${writeEntries({
         from: 'gone',
         action: 'meter.archived',
         before: meterState('gone'),
         after: `jsonb_build_object('archivedAt', iso8601(now()))`,
         actor: '$3',
       })})
       select id from gone`,
      [context.tenantId, id, JSON.stringify(actor)],
    ),
  ).catch((error) => {
    if (errorCode(error) !== METER_IN_USE) throw error;
    throw new TidemarkError('meter_in_use', `alert rules compare the meter ${slug}: delete them first`, {
      cause: error,
    });
  });
  if (!rows[0]) throw noSuchMeter();
  await retireUnusedSeries(db, context);
}
