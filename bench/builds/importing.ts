import { createWriteStream } from 'node:fs';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { checkStored } from '../load/stored.ts';
import { customerIds, makeEvent, seededRandom, TENANT } from '../load/workload.ts';
import type { Build } from '../services/build.ts';
import { costsOf } from '../support/costs.ts';
import { interruption } from '../support/interruption.ts';
import { type Metered, runProgram } from '../support/programs.ts';
import { type BenchServer, withClient } from '../support/servers.ts';
import type { BuildSample } from './sample.ts';

const DAY_MS = 86_400_000;
const DAYS = 3;
const CUSTOMERS = customerIds(500);
const LINES_AT_A_TIME = 1_000;

/** A CSV of events of 500 customers over three days that ended a day ago, in order of time, without ids. */
export async function writeImport(file: string, rows: number): Promise<void> {
  const random = seededRandom(rows);
  const from = Date.now() - (DAYS + 1) * DAY_MS;
  function* lines() {
    yield 'timestamp,customerId,apiEndpoint,model,inputTokens,outputTokens,latencyMs\n';
    let text = '';
    for (let i = 0; i < rows; i++) {
      const event = makeEvent(random, '', (from + ((DAYS * DAY_MS) / rows) * i) * 1_000, CUSTOMERS);
      const { customerId, endpoint, model, inputTokens, outputTokens, latencyMs } = event;
      const time = new Date(event.tsMicros / 1_000).toISOString();
      text += `${[time, customerId, endpoint, model, inputTokens, outputTokens, latencyMs].join(',')}\n`;
      if ((i + 1) % LINES_AT_A_TIME !== 0 && i + 1 < rows) continue;
      yield text;
      text = '';
    }
  }
  await pipeline(Readable.from(lines()), createWriteStream(file), { signal: interruption });
}

const COLUMNS = [
  'timestamp',
  'customerId',
  'apiEndpoint',
  'model',
  'inputTokens',
  'outputTokens',
  'latencyMs',
];

/**
 * The `import` command of a build on a file: rows/s from its start until all of them are stored, and until its end, when the
 * summaries have what came late to closed windows.
 */
export async function measureImport(
  server: BenchServer,
  build: Build,
  file: string,
  rows: number,
): Promise<BuildSample[]> {
  const database = await server.createDatabase('empty');
  try {
    const env = { DATABASE_URL: database.url, LOG_LEVEL: 'warn' };
    await runProgram(build.cli, ['migrate'], env, null);
    await withClient(database.url, (client) => client.query('checkpoint'));
    const map = COLUMNS.map((column) => `${column}=${column}`).join(',');
    const { first, all } = await runProgram(
      build.cli,
      ['import', file, '--tenant', TENANT, '--create-tenant', '--map', map],
      env,
      server.postmaster,
      /refreshing the summaries/,
    );
    const problems = await withClient(database.url, (client) => checkStored(client, rows));
    const sample = (variant: string, { seconds, usage }: Metered): BuildSample => ({
      ...{ row: 'import', variant, who: build.who, value: rows / seconds, problems },
      ...costsOf({ ...usage, generatorCores: null }, rows / seconds),
    });
    return [sample('until all is stored', first), sample('with its refresh', all)];
  } finally {
    await database.drop();
  }
}
