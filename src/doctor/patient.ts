import type pg from 'pg';
import type { Config } from '../config.ts';
import type { Verdict } from './finding.ts';

/** What the checks of the database look at. */
export interface Patient {
  db: pg.Client;
  config: Config;
}

/** A check; it throws where it could not look. */
export type Check = (patient: Patient) => Promise<Verdict[]>;
