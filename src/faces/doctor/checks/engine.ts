import { fail, ok, type Verdict, warn } from '../finding.ts';
import type { Patient } from '../patient.ts';

interface Row {
  engine: 'timescale' | 'postgres';
  installed: string | null;
  available: string | null;
  license: string | null;
}

/** Whether the server still is what the schema was made for. */
export async function checkEngine({ db }: Patient): Promise<Verdict[]> {
  const { rows } = await db.query<Row>(
    `select engine, current_setting('timescaledb.license', true) as license,
            (select extversion from pg_extension where extname = 'timescaledb') as installed,
            (select default_version from pg_available_extensions where name = 'timescaledb') as available
     from installation`,
  );
  const { engine, installed, available, license } = rows[0]!;
  if (engine === 'postgres') return [ok('postgres: tables and a trigger, on any PostgreSQL')];
  if (installed === null) {
    return [
      fail('timescale, but the extension timescaledb is gone', 'restore the extension, or the database'),
    ];
  }
  const what = `timescale, on TimescaleDB ${installed}, licence ${license ?? 'none'}`;
  if (license !== 'timescale') {
    return [
      fail(
        `${what}: continuous aggregates need the Community licence`,
        `set timescaledb.license = 'timescale' and restart`,
      ),
    ];
  }
  if (available !== null && available !== installed) {
    return [
      warn(
        `${what}; the server has version ${available}`,
        'alter extension timescaledb update, first thing in a new session',
      ),
    ];
  }
  return [ok(what)];
}
