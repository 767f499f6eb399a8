/** What /v1/live/overview answers, and the stream sends. */
export interface Overview {
  at: string;
  tenantId: string | null;
  /** Of the instance that answers. */
  instance: {
    id: string;
    since: string;
    accepted: number;
    duplicates: number;
    rejected: number;
    eventsPerSecond: number | null;
    ingestMs: { p50: number; p99: number } | null;
    queueRows: number;
  };
  /** Of all instances. */
  database: {
    available: boolean;
    asOf: string | null;
    closedUntil: string | null;
    lateWindows: number | null;
    messagesWaiting: number | null;
    deliveriesPending: number | null;
    deadLetters: number | null;
  };
}

/** How many are kept: ten minutes, of one a second. */
const KEPT = 600;

/** With new samples, in their order; what had come before stays, of another run too. */
export function withSamples(all: Overview[], more: Overview[]): Overview[] {
  const last = all.at(-1);
  const later = more.filter((one) => last === undefined || one.at > last.at);
  return later.length === 0 ? all : [...all, ...later].slice(-KEPT);
}

type Count = 'accepted' | 'duplicates' | 'rejected';

/** How many a second, between each sample and the one before; null where that is of another run of the service. */
export const ratesOf = (all: readonly Overview[], count: Count): (number | null)[] =>
  all.map((now, i) => {
    const before = all[i - 1];
    if (before === undefined || before.instance.id !== now.instance.id) return null;
    const seconds = (Date.parse(now.at) - Date.parse(before.at)) / 1_000;
    return (now.instance[count] - before.instance[count]) / seconds;
  });
