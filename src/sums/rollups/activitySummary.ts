import { numberOf } from '../../ground/db/numbers.ts';

/** Who did what in one hour or day of UTC. */
export interface ActivitySummary {
  bucket: string;
  /** Distinct customers. */
  uniqueUsers: number;
  totalClicks: number;
  totalImpressions: number;
  totalEvents: number;
  byType: Record<string, number>;
}

export interface ActivityRow {
  bucket_ms: string;
  users: string;
  by_type: Record<string, number>;
}

export function summaryOf({ bucket_ms, users, by_type: byType }: ActivityRow): ActivitySummary {
  return {
    bucket: new Date(Number(bucket_ms)).toISOString(),
    uniqueUsers: numberOf(users),
    totalClicks: byType.click ?? 0,
    totalImpressions: byType.impression ?? 0,
    totalEvents: Object.values(byType).reduce((sum, calls) => sum + calls, 0),
    byType,
  };
}
