import { cpus } from 'node:os';
import type { Usage } from './processStats.ts';

/** What it takes of the machine to do something again and again. */
export interface Costs {
  /** Processor time for an event or a request, in µs; null where it cannot be told. */
  micros: { service: number | null; postgres: number | null; generator: number | null };
  /** Share of the machine's processors that was at work, whoever's it was. */
  busy: number | null;
  /** What of it nobody of the benchmark did, in cores. */
  otherCores: number | null;
  peakRssMb: number | null;
}

/** @param perSecond what was done in a second, events or requests: processor time is told for each of them. */
export function costsOf(
  {
    serviceCores,
    postgresCores,
    otherCores,
    generatorCores,
    peakRssMb,
  }: Usage & { generatorCores: number | null },
  perSecond: number,
): Costs {
  const each = (cores: number | null) => (cores === null ? null : (cores * 1_000_000) / perSecond);
  const all = [serviceCores, postgresCores, generatorCores, otherCores].reduce(
    (sum: number, n) => sum + (n ?? 0),
    0,
  );
  return {
    micros: { service: each(serviceCores), postgres: each(postgresCores), generator: each(generatorCores) },
    busy: otherCores === null ? null : all / cpus().length,
    otherCores,
    peakRssMb,
  };
}
