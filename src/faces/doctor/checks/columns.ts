import { columnstoreWrites } from '../../../ground/db/columnstore.ts';
import { ok, type Verdict, warn } from '../finding.ts';
import { engineOf, type Patient } from '../patient.ts';

/** Whether large batches can go straight into the columnstore: without it they cost twice, and take six times the disk. */
export async function checkColumns(patient: Patient): Promise<Verdict[]> {
  if ((await engineOf(patient)) === 'postgres') return [];
  const { db, config } = patient;
  if (config.ingest.columnsFromRows === 0) return [ok('all events are written as rows, as configured')];
  const writes = await columnstoreWrites(db);
  if (writes.able) return [ok('large batches go straight into the columnstore')];
  return [
    warn(
      `all events are written as rows: ${writes.why}`,
      'take it away; until then batches cost twice as much, and the newest days take six times the disk',
    ),
  ];
}
