import { compareFunctions } from '../../../ground/db/sqlFunctions.ts';
import { fail, ok, type Verdict } from '../finding.ts';
import type { Patient } from '../patient.ts';

/** Those of the database, whose texts come with the program. */
export async function checkFunctions({ db }: Patient): Promise<Verdict[]> {
  const { pending, newer } = await compareFunctions(db);
  if (pending.length > 0) {
    return [
      fail(
        `${pending.length} functions are older than this version's (${pending[0]!.name} …)`,
        'run "tidemark migrate"',
      ),
    ];
  }
  if (newer.length > 0) return [ok(`${newer.length} functions are of a newer version, and serve this one`)];
  return [ok('those of this version')];
}
