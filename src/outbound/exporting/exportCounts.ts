/** How far an export is; kept up while it runs. */
export class ExportCounts {
  rows = 0;
  /** The time that has been reached, in ms since the epoch; null while there is none. Rows come in order of time. */
  reachedMs: number | null = null;
}

export type ExportFormat = 'csv' | 'ndjson';
