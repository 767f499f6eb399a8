import { readSchemaState } from '../../../ground/db/schemaState.ts';
import { fail, ok, type Verdict } from '../finding.ts';
import type { Patient } from '../patient.ts';

export async function checkSchema({ db }: Patient): Promise<Verdict[]> {
  const { present, pending, unknown } = await readSchemaState(db);
  if (!present) return [fail('the database has no schema yet', 'run "tidemark migrate"')];
  if (unknown.length > 0) {
    return [
      fail(
        `the schema is newer than this version (${unknown.join(', ')})`,
        'run the version that made it, or a newer one',
      ),
    ];
  }
  if (pending.length > 0) {
    return [fail(`${pending.length} migrations are missing (${pending[0]} …)`, 'run "tidemark migrate"')];
  }
  return [ok('up to date')];
}
