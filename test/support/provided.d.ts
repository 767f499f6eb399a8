import 'vitest';

declare module 'vitest' {
  export interface ProvidedContext {
    /** The rollup engine that the tests of this project run on. */
    engine: 'postgres' | 'timescale';
    /** Superuser URL of a plain PostgreSQL that lives as long as the run. */
    postgresUrl: string;
    /** The same on TimescaleDB Community; null where none was found. */
    timescaleUrl: string | null;
    /** A Redis that lives as long as the run. Faults are for a Redis of the test's own: see redisServer.ts. */
    redisUrl: string;
    /** Begins the name of every database that this run makes. */
    databasePrefix: string;
  }
}
