import type { Queryable } from '../../ground/db/queryable.ts';
import { StartupError, TidemarkError } from '../../model/errors.ts';
import type { UsageEvent } from '../../model/usageEvent.ts';
import { readBackfill, requireState, scopeOf } from '../backfills/backfill.ts';
import { outsideScope, stageEvents } from '../backfills/stageEvents.ts';
import type { WriteResult } from '../ingest/ingest.ts';
import type { Row, RowVerdict } from './row.ts';

/** What an import does whose events are staged. */
export interface StagedImport {
  /** Finds events at fault that are not the backfill's. */
  toEvent(row: Row<unknown>): RowVerdict;
  store(events: UsageEvent[]): Promise<WriteResult>;
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
const POINTERS = { timestamp: '/timestamp', customer: '/customerId' };

/** @throws {StartupError} where there is no such backfill, or it is not staged any more. */
export async function stagedImport(
  db: Queryable,
  tenantId: string,
  backfillId: string,
  toEvent: (row: Row<unknown>) => RowVerdict,
): Promise<StagedImport> {
  if (!UUID.test(backfillId)) throw new StartupError(`${backfillId} is not the id of a backfill`);
  const scope = await readBackfill(db, tenantId, backfillId, '')
    .then((found) => {
      requireState(found, 'staged');
      return scopeOf(found);
    })
    .catch((error: unknown) => {
      throw error instanceof TidemarkError ? new StartupError(`${error.message}: ${backfillId}`) : error;
    });
  return {
    toEvent(row) {
      const verdict = toEvent(row);
      if (!verdict.event) return verdict;
      const faults = outsideScope(verdict.event, scope);
      if (faults.length === 0) return verdict;
      return {
        faults: faults.map(({ of, ...fault }) => ({ index: row.line, pointer: POINTERS[of], ...fault })),
      };
    },
    async store(events) {
      const { ids, staged, duplicates } = await stageEvents(db, tenantId, backfillId, events);
      return {
        accepted: staged,
        duplicates,
        duplicateFlags: duplicates > 0 ? events.map(({ eventId }) => !ids.delete(eventId)) : null,
      };
    },
  };
}
