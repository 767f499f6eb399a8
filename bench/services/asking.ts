import { generate } from '../load/generate.ts';
import type { Timing } from '../load/measurement.ts';
import { costsOf } from '../support/costs.ts';
import { Meter } from '../support/processStats.ts';
import type { Sample } from '../support/samples.ts';
import type { Tidemark } from './tidemark.ts';

/** What is asked one at a time, and as what it is reported. */
export interface Question<Row extends string> {
  row: Row;
  variant: string;
  who: string;
  paths: string[];
}

/** p99 of a question's answers in ms. */
export async function askAgainAndAgain<Row extends string>(
  service: Tidemark,
  postmaster: number | null,
  { paths, ...question }: Question<Row>,
  timing: Timing,
): Promise<Sample & { row: Row; unit: string }> {
  const report = await generate(
    {
      host: '127.0.0.1',
      port: service.port,
      headers: { Authorization: `Bearer ${service.key}` },
      connections: 1,
      ...timing,
      get: { paths },
    },
    new Meter({ service: service.pid, postmaster }),
  );
  const { latency, requests, seconds, failures, firstFailure, usage, cores } = report;
  return {
    ...question,
    value: latency.p99,
    unit: 'ms',
    ...costsOf({ ...usage, generatorCores: cores }, requests / seconds),
    problems: failures > 0 ? [`${failures} requests failed: ${firstFailure}`] : [],
  };
}

/** Query parameters of [from, to), ms since the epoch. */
export function rangeOf(from: number, to: number): string {
  return `from=${new Date(from).toISOString()}&to=${new Date(to).toISOString()}`;
}
