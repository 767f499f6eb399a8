import type { Row, RowVerdict } from './row.ts';

/**
 * Finds events at fault that would be removed, or that nothing could be summed up with any more. The database refuses
 * those too that become so while the import runs.
 *
 * @param oldest in ms since the epoch.
 */
export function noOlderThan(
  oldest: number,
  toEvent: (row: Row<unknown>) => RowVerdict,
): (row: Row<unknown>) => RowVerdict {
  return (row) => {
    const verdict = toEvent(row);
    if (!verdict.event || verdict.event.tsMicros >= oldest * 1_000) return verdict;
    const message = `is older than events are kept: nothing before ${new Date(oldest).toISOString()} (EVENT_RETENTION_DAYS)`;
    return {
      faults: [{ index: row.line, pointer: '/timestamp', code: 'timestamp_too_old', message }],
    };
  };
}
