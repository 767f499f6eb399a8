import { type Variables, wholeNumber } from './values.ts';

export const ingestVariables = {
  INGEST_WRITERS: wholeNumber(1, 16).default(2),
  INGEST_BATCH_ROWS: wholeNumber(1, 50_000).default(5_000),
  INGEST_BATCH_BYTES: wholeNumber(65_536, 67_108_864).default(8_388_608),
  INGEST_QUEUE_ROWS: wholeNumber(1, 5_000_000).default(50_000),
  INGEST_QUEUE_BYTES: wholeNumber(65_536, 1_073_741_824).default(33_554_432),
  INGEST_DEADLINE_MS: wholeNumber(100, 120_000).default(10_000),
  INGEST_COLUMNS_FROM_ROWS: wholeNumber(0, 50_000).default(50),
  MAX_EVENTS_PER_REQUEST: wholeNumber(1, 100_000).default(10_000),
  ACCEPT_AHEAD_SECONDS: wholeNumber(0, 86_400).default(600),
  ACCEPT_BEHIND_DAYS: wholeNumber(1, 3_650).default(30),
};

type Environment = Variables<typeof ingestVariables> & { COLUMNSTORE_AFTER_DAYS: number };

export interface IngestConfig {
  writers: number;
  batchRows: number;
  batchBytes: number;
  queueRows: number;
  queueBytes: number;
  deadlineMs: number;
  /** Rows of a tenant on a day that a batch has to have to write them as columns (timescale engine); 0: never. */
  columnsFromRows: number;
  /** How many days back columns are written; what is older has been packed. */
  columnsDays: number;
  /** How long a time (ms) what is written as one segment may be of; no variable sets it. */
  columnsSpanMs: number;
  maxEventsPerRequest: number;
  acceptAheadMs: number;
  acceptBehindMs: number;
}

export function ingestConfig(e: Environment): IngestConfig {
  return {
    writers: e.INGEST_WRITERS,
    batchRows: e.INGEST_BATCH_ROWS,
    batchBytes: e.INGEST_BATCH_BYTES,
    queueRows: e.INGEST_QUEUE_ROWS,
    queueBytes: e.INGEST_QUEUE_BYTES,
    deadlineMs: e.INGEST_DEADLINE_MS,
    columnsFromRows: e.COLUMNSTORE_AFTER_DAYS === 0 ? 0 : e.INGEST_COLUMNS_FROM_ROWS, // nobody would merge them
    maxEventsPerRequest: e.MAX_EVENTS_PER_REQUEST,
    columnsDays: e.COLUMNSTORE_AFTER_DAYS,
    columnsSpanMs: 120_000,
    acceptAheadMs: e.ACCEPT_AHEAD_SECONDS * 1_000,
    acceptBehindMs: e.ACCEPT_BEHIND_DAYS * 86_400_000,
  };
}
