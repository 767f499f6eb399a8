import type { Overview } from '../../../../live/overview.ts';

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
