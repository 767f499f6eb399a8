import type pg from 'pg';
import type { Config } from '../../ground/config/loadConfig.ts';
import type { Engine } from '../../ground/db/engine.ts';
import type { Verdict } from './finding.ts';

/** What the checks of the database look at. */
export interface Patient {
  db: pg.Client;
  config: Config;
}

/** A check; it throws where it could not look. */
export type Check = (patient: Patient) => Promise<Verdict[]>;

/** The engine that the schema was made for, whatever has become of the server since. */
export async function engineOf({ db }: Patient): Promise<Engine> {
  const { rows } = await db.query<{ engine: Engine }>('select engine from installation');
  return rows[0]!.engine;
}
