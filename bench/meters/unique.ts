import { TENANT } from '../load/workload.ts';
import { askAgainAndAgain, type Question, rangeOf } from '../services/asking.ts';
import { MeterCalls } from '../services/meterCalls.ts';
import { packDue, storeHistory } from '../services/storedHistory.ts';
import { interruption } from '../support/interruption.ts';
import type { BenchServer } from '../support/servers.ts';
import { figure } from '../support/table.ts';
import { FIVE_METERS } from './definitions.ts';
import type { Options } from './options.ts';
import type { MeterSample } from './sample.ts';

const HOUR_MS = 3_600_000;
const HOURS = 3;

const { dimensions, ...UNIQUE } = { ...FIVE_METERS[4], slug: 'unique' };

/** p99 of the distinct members of an hour that has so many, of a meter without dimensions and of one with two. */
export async function measureUnique(
  server: BenchServer,
  options: Options,
  folder: string,
  log: (line: string) => void,
): Promise<MeterSample[]> {
  const { members, hourEvents, rounds } = options;
  const to = Math.floor(Date.now() / HOUR_MS) * HOUR_MS;
  const from = to - HOURS * HOUR_MS;
  log(`unique: ${HOURS} hours of ${figure(hourEvents)} events`);
  const history = await storeHistory(
    server,
    {
      events: HOURS * hourEvents,
      from,
      to,
      // Each in its turn, whatever the customer: an hour has all of them.
      change: (event, i) => {
        const document = { ...event.document, document: `document-${i % members}` };
        return { ...event, metadata: JSON.stringify(document), document };
      },
    },
    folder,
  );
  const samples: MeterSample[] = [];
  try {
    const calls = new MeterCalls(history.service, TENANT);
    await calls.create(UNIQUE);
    await calls.create({ ...UNIQUE, slug: 'unique_by', dimensions });
    await calls.filled(['unique', 'unique_by']);
    await packDue(history.database);
    const hour = (slug: string, start: number) =>
      `/v1/meters/${slug}/query?${rangeOf(start, start + HOUR_MS)}`;
    const whole = Array.from({ length: HOURS }, (_, i) => from + i * HOUR_MS);
    const question = (variant: string, paths: string[]): Question<'unique'> => ({
      ...{ row: 'unique', variant, who: `${figure(members)} distinct`, paths },
    });
    const questions = [
      question(
        'an hour',
        whole.map((start) => hour('unique', start)),
      ),
      question(
        'an hour of a meter with two dimensions',
        whole.map((start) => hour('unique_by', start)),
      ),
      question(
        'sixty minutes of two hours',
        whole.slice(1).map((start) => hour('unique', start - HOUR_MS / 2)),
      ),
    ];
    for (let round = 1; round <= rounds; round++) {
      for (const one of questions) {
        interruption.throwIfAborted();
        const sample = await askAgainAndAgain(history.service, server.postmaster, one, options);
        log(`round ${round}: ${sample.variant}: p99 ${figure(sample.value)} ms`);
        samples.push(sample);
      }
    }
    for (const slug of ['unique', 'unique_by']) {
      for (const start of whole) {
        const [point] = await calls.query(slug, rangeOf(start, start + HOUR_MS));
        if (point?.value !== String(members) || point.events !== hourEvents) {
          samples
            .at(-1)!
            .problems.push(`${slug}: ${point?.value} of ${point?.events} events where ${members} are`);
        }
      }
    }
    return samples;
  } finally {
    const problems = await history.end();
    samples.at(-1)?.problems.push(...problems);
  }
}
