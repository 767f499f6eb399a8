import { OLDEST_TIMESCALE } from '../../../ground/db/prepareDatabase.ts';
import { fail, ok, type Verdict, warn } from '../finding.ts';
import type { Patient } from '../patient.ts';
import { isAtLeast } from '../redisInfo.ts';

/** What a server says of TimescaleDB. */
export interface TimescaleServer {
  /** The version of the extension in this database; null: it is not there. */
  installed: string | null;
  /** The version that the server's package would make a new one with; null: it has none. */
  available: string | null;
  license: string | null;
  /** PostgreSQL's major version. */
  postgres: number;
}

/** From here on TimescaleDB wants PostgreSQL 16. */
const WITHOUT_POSTGRES_15 = [2, 29] as const;
/** How the extension in the database becomes that of the server. Works also where the library of the older one is gone. */
export const UPDATE_EXTENSION = `stop every instance, then psql -X "$DATABASE_URL" -c 'alter extension timescaledb update'`;
const PAGE = 'docs/operations.md, "TimescaleDB 2.28 to 2.29"';

/** Whether the server still is what the schema was made for, and what is to be done about its version. */
export async function checkEngine({ db }: Patient): Promise<Verdict[]> {
  const { rows: tables } = await db.query(`select to_regclass('installation') is not null as there`);
  if (!tables[0].there) return []; // it is chosen when the schema is made
  const { rows } = await db.query<TimescaleServer & { engine: 'timescale' | 'postgres' }>(
    `select engine, current_setting('timescaledb.license', true) as license,
            current_setting('server_version_num')::int / 10000 as postgres,
            (select extversion from pg_extension where extname = 'timescaledb') as installed,
            (select default_version from pg_available_extensions where name = 'timescaledb') as available
     from installation`,
  );
  const { engine, ...server } = rows[0]!;
  if (engine === 'postgres') return [ok('postgres: tables and a trigger, on any PostgreSQL')];
  return [judgeTimescale(server)];
}

/** The worst that is to be said of a server that the timescale engine runs on. */
export function judgeTimescale({ installed, available, license, postgres }: TimescaleServer): Verdict {
  if (installed === null) {
    return fail('timescale, but the extension timescaledb is gone', 'restore the extension, or the database');
  }
  const what = `timescale, on TimescaleDB ${installed} and PostgreSQL ${postgres}, licence ${license ?? 'none'}`;
  if (license !== 'timescale') {
    return fail(
      `${what}: continuous aggregates need the Community licence`,
      `set timescaledb.license = 'timescale' and restart`,
    );
  }
  if (!isAtLeast(installed, OLDEST_TIMESCALE)) {
    const oldest = OLDEST_TIMESCALE.join('.');
    const install = isNewer(available, installed) ? '' : `install TimescaleDB ${oldest} or newer; `;
    return fail(`${what}: ${oldest} or newer is needed`, install + UPDATE_EXTENSION);
  }
  if (isNewer(available, installed))
    return warn(`${what}; the server has version ${available}`, UPDATE_EXTENSION);
  if (isNewer(installed, available)) {
    return warn(
      `${what}; the server's package is of version ${available ?? 'none'}, which a restore would be made with`,
      `install the package of TimescaleDB ${installed} or newer`,
    );
  }
  if (!isAtLeast(installed, WITHOUT_POSTGRES_15)) {
    const line = `${what}: what is mended since then comes with 2.29`;
    if (postgres < 16) {
      return warn(`${line}, which wants PostgreSQL 16 or newer`, `move to PostgreSQL 17 first: ${PAGE}`);
    }
    return warn(line, `install TimescaleDB 2.29.2 or newer, restart PostgreSQL, then update: ${PAGE}`);
  }
  return ok(what);
}

/** Whether one version (`2.29.2`) is newer than another; none is older than any. */
function isNewer(version: string | null, than: string | null): boolean {
  if (version === null || than === null) return version !== null;
  return version.localeCompare(than, 'en', { numeric: true }) > 0;
}
