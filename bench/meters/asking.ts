import { generate } from '../load/generate.ts';
import type { Timing } from '../load/measurement.ts';
import type { Tidemark } from '../services/tidemark.ts';
import { costsOf } from '../support/costs.ts';
import { Meter } from '../support/processStats.ts';
import type { MeterSample, Row } from './sample.ts';

/** What is asked one at a time, and as what it is reported. */
export interface Question {
  row: Row;
  variant: string;
  who: string;
  paths: string[];
}

/** p99 of a question's answers in ms. */
export async function askAgainAndAgain(
  service: Tidemark,
  postmaster: number | null,
  { paths, ...question }: Question,
  timing: Timing,
): Promise<MeterSample> {
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
