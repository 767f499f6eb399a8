import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Redis } from 'ioredis';
import { v7 as uuidV7 } from 'uuid';
import { startRedis } from '../../test/support/redisServer.ts';
import { asNative, makeEvent, seededRandom, TENANT } from '../load/workload.ts';
import { startTidemark } from '../services/tidemark.ts';
import { buildService } from '../support/buildService.ts';
import { onEachEngine } from '../support/engines.ts';
import { interruption } from '../support/interruption.ts';
import { machine } from '../support/machine.ts';
import { median } from '../support/percentiles.ts';
import { type BenchServer, withClient } from '../support/servers.ts';
import { figure, table } from '../support/table.ts';
import { inWorkplace } from '../support/workplace.ts';

/*
 * How fast one instance works off a Redis stream that is full: from the moment it begins to read until everything is
 * acknowledged. README.md says how to run it.
 */

const { values } = parseArgs({
  options: {
    engine: { type: 'string', default: 'both' },
    /** Of one entry. */
    sizes: { type: 'string', default: '1,10,100' },
    /** Of one measurement, in all entries together. */
    events: { type: 'string', default: '500000' },
    rounds: { type: 'string', default: '3' },
    help: { type: 'boolean', default: false },
  },
});
const sizes = values.sizes.split(',').map(Number);
const events = Number(values.events);
const rounds = Number(values.rounds);
const engines = (['postgres', 'timescale'] as const).filter((e) => ['both', e].includes(values.engine));
if (values.help || ![...sizes, events, rounds].every((number) => number > 0) || engines.length === 0) {
  console.error(
    'npm run bench:queue -- [--engine postgres|timescale] [--sizes 1,10,100] [--events N] [--rounds N]',
  );
  process.exit(values.help ? 0 : 2);
}

const STREAM = 'usage';
const GROUP = 'tidemark';

/** @returns how many entries. */
async function fill(redis: Redis, size: number): Promise<number> {
  const random = seededRandom(size);
  const entries = Math.ceil(events / size);
  for (let from = 0; from < entries; from += 1_000) {
    const pipeline = redis.pipeline();
    for (let i = from; i < Math.min(from + 1_000, entries); i++) {
      const made = Array.from({ length: size }, () =>
        asNative(makeEvent(random, uuidV7(), Date.now() * 1_000)),
      );
      pipeline.xadd(STREAM, '*', 'data', JSON.stringify(made));
    }
    await pipeline.exec();
  }
  return entries;
}

/** @returns s. */
async function workOff(server: BenchServer, size: number, folder: string): Promise<number> {
  const redisServer = await startRedis();
  const redis = new Redis(redisServer.url);
  const database = await server.createDatabase('migrated');
  try {
    // The service waits behind an empty stream until it is filled: its group stands where nothing is.
    await redis.xgroup('CREATE', STREAM, GROUP, '$', 'MKSTREAM');
    const service = await startTidemark({
      url: database.url,
      folder,
      env: { SOURCE_REDIS_URL: redisServer.url, SOURCE_STREAM: `${STREAM}:full` },
    });
    const entries = await fill(redis, size);
    const began = performance.now();
    await redis.rename(STREAM, `${STREAM}:full`);
    for (;;) {
      interruption.throwIfAborted();
      const [group] = (await redis.xinfo('GROUPS', `${STREAM}:full`)) as unknown[][];
      const of = (name: string) => Number(group![group!.indexOf(name) + 1]);
      if (of('pending') === 0 && of('entries-read') === entries) break;
      await sleep(20);
    }
    const seconds = (performance.now() - began) / 1_000;
    const problems = await service.stop();
    const stored = await withClient(database.url, async (client) => {
      const { rows } = await client.query('select count(*)::int as n from event where tenant_id = $1', [
        TENANT,
      ]);
      return rows[0].n as number;
    });
    if (stored !== entries * size) problems.push(`${stored} events stored of ${entries * size}`);
    if (problems.length > 0) throw new Error(problems.join('\n'));
    return seconds;
  } finally {
    redis.disconnect();
    await redisServer.stop();
    await database.drop();
  }
}

buildService();
await inWorkplace((folder) =>
  onEachEngine([...engines], folder, async (server) => {
    const measured = new Map<number, number[]>(sizes.map((size) => [size, []]));
    for (let round = 0; round < rounds; round++) {
      for (const size of sizes) measured.get(size)!.push(await workOff(server, size, folder));
    }
    const rows = [...measured].map(([size, seconds]) => {
      const total = Math.ceil(events / size) * size;
      const typical = median(seconds);
      return [String(size), figure(total / size / typical), figure(total / typical)];
    });
    console.log(`\n## ${server.engine}\n\n${table(['events per entry', 'entries/s', 'events/s'], rows)}\n`);
  }),
);
console.log(Object.entries(machine()).flat().join(' '));
