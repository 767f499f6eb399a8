import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { generate } from '../load/generate.ts';
import type { Load, LoadReport } from '../load/generator.ts';
import { checkCounts } from '../load/measurement.ts';
import { TENANT } from '../load/workload.ts';
import { startTidemark } from '../services/tidemark.ts';
import { buildService } from '../support/buildService.ts';
import { onEachEngine } from '../support/engines.ts';
import { interruption } from '../support/interruption.ts';
import { machine } from '../support/machine.ts';
import { median, type Percentiles } from '../support/percentiles.ts';
import { Meter, type Usage } from '../support/processStats.ts';
import { keepResults } from '../support/results.ts';
import { runToEnd } from '../support/runToEnd.ts';
import { type BenchServer, withClient } from '../support/servers.ts';
import { figure, table } from '../support/table.ts';
import { inWorkplace } from '../support/workplace.ts';

/*
 * What a tenant that floods does to another one that does not: the same requests of the victim, alone and beside the
 * flood, in one service. README.md says how to run and read it.
 */

/** The victim's requests, at a steady pace. */
const VICTIMS = {
  single: { title: '1 event, 100 requests/s', events: 1, connections: 16, everyMs: 160 },
  hundreds: { title: '100 events, 20 requests/s', events: 100, connections: 8, everyMs: 400 },
} as const;
type VictimName = keyof typeof VICTIMS;

const FLOOD_EVENTS = 500;
/** The flood waits a second when it is refused, as Retry-After asks it to. */
const FLOOD_PACE = { patienceMs: 1_000, givesWay: true };
const FLOODING = 'flooding';

const VARIANTS = {
  fair: { title: 'as it is', env: {}, limits: {} },
  fifo: { title: 'first come, first served', env: { ONE_FLOW: '1' }, limits: {} },
  limited: {
    title: 'flood limited to 20,000 events/s',
    env: {},
    limits: { eventsPerSecond: 20_000 },
  },
  medium: { title: 'shared batches of 1,000 rows', env: { SHARED_ROWS: '1000' }, limits: {} },
  large: { title: 'shared batches of 5,000 rows', env: { SHARED_ROWS: '5000' }, limits: {} },
} as const;
type VariantName = keyof typeof VARIANTS;

interface Options {
  engines: ('postgres' | 'timescale')[];
  variants: readonly VariantName[];
  victims: VictimName[];
  floodConnections: number;
  durationMs: number;
  rounds: number;
}

type Pace = Pick<Load, 'connections' | 'warmupMs' | 'durationMs' | 'everyMs' | 'patienceMs' | 'givesWay'>;

interface Fairness {
  victim: VictimName;
  variant: VariantName;
  /** Of the victim's requests, in ms. */
  alone: Percentiles;
  beside: Percentiles;
  floodEventsPerSecond: number;
  floodRefusals: number;
  usage: Usage;
  problems: string[];
}

const USAGE = `npm run bench:fairness -- [options]
  --engine postgres|timescale|both   default both
  --variants ${Object.keys(VARIANTS).join(',')}  default fair,fifo,limited
  --victims ${Object.keys(VICTIMS).join(',')}
  --connections N                    of the flood, default 16
  --seconds N                        length of one measurement, default 10
  --rounds N                         times that everything is measured in turn, default 3`;

function readFairnessOptions(args: string[]): Options {
  try {
    const { values } = parseArgs({
      args,
      options: {
        engine: { type: 'string', default: 'both' },
        variants: { type: 'string', default: 'fair,fifo,limited' },
        victims: { type: 'string', default: Object.keys(VICTIMS).join(',') },
        connections: { type: 'string', default: '16' },
        seconds: { type: 'string', default: '10' },
        rounds: { type: 'string', default: '3' },
        help: { type: 'boolean', default: false },
      },
    });
    if (values.help) throw new Error();
    const numbers = [values.connections, values.seconds, values.rounds].map(Number);
    if (!numbers.every((number) => number > 0)) throw new Error('numbers must be positive');
    return {
      engines: (['postgres', 'timescale'] as const).filter((e) => ['both', e].includes(values.engine)),
      variants: listOf(values.variants, VARIANTS),
      victims: listOf(values.victims, VICTIMS),
      floodConnections: numbers[0]!,
      durationMs: numbers[1]! * 1_000,
      rounds: numbers[2]!,
    };
  } catch (error) {
    const { message } = error as Error;
    console.error(message ? `${message}\n\n${USAGE}` : USAGE);
    process.exit(message ? 2 : 0);
  }
}

function listOf<Name extends string>(text: string, known: Record<Name, unknown>): Name[] {
  const names = text.split(',');
  const unknown = names.find((name) => !(name in known));
  if (unknown !== undefined) throw new Error(`'${unknown}' is none of ${Object.keys(known).join(', ')}`);
  return names as Name[];
}

async function main(): Promise<void> {
  const options = readFairnessOptions(process.argv.slice(2));
  buildService();
  const started = new Date();
  const results: { engine: string; server: Record<string, string>; measured: Fairness[] }[] = [];
  await inWorkplace((folder) =>
    onEachEngine(options.engines, folder, async (server) => {
      const measured = await measureAll(server, options, folder);
      results.push({ engine: server.engine, server: server.description, measured });
      console.log(`\n## ${server.engine}\n\n${format(measured, options)}\n`);
    }),
  );
  await keepResults('fairness', started, { options, results });
  console.log(Object.entries(machine()).flat().join(' '));
  if (results.some(({ measured }) => measured.some(({ problems }) => problems.length > 0)))
    process.exitCode = 1;
}

/** In turn, and in the opposite order every other round. */
async function measureAll(server: BenchServer, options: Options, folder: string): Promise<Fairness[]> {
  const cells = options.victims.flatMap((victim) => options.variants.map((variant) => ({ victim, variant })));
  const measured: Fairness[] = [];
  for (let round = 0; round < options.rounds; round++) {
    for (const { victim, variant } of round % 2 === 0 ? cells : cells.toReversed()) {
      interruption.throwIfAborted();
      const one = await measureFairness(server, victim, variant, options, folder);
      console.error(
        `${server.engine}: ${victim}, ${variant}: alone p50 ${figure(one.alone.p50)} p99 ${figure(one.alone.p99)}, ` +
          `beside p50 ${figure(one.beside.p50)} p99 ${figure(one.beside.p99)} ms, ` +
          `flood ${figure(one.floodEventsPerSecond)} events/s, ${one.floodRefusals} refused, ` +
          `other cores ${figure(one.usage.otherCores)} ${one.problems.join('; ')}`,
      );
      measured.push(one);
    }
  }
  return measured;
}

/** One service on a database of its own: the victim alone, then beside the flood. */
async function measureFairness(
  server: BenchServer,
  victim: VictimName,
  variant: VariantName,
  { floodConnections, durationMs }: Options,
  folder: string,
): Promise<Fairness> {
  const database = await server.createDatabase('migrated');
  try {
    const { env, limits } = VARIANTS[variant];
    const service = await startTidemark({
      url: database.url,
      folder,
      env,
      module: new URL('sharing.ts', import.meta.url),
    });
    let stopped = false;
    try {
      const floodKey = await service.addTenant(FLOODING, limits);
      const { events, connections, everyMs } = VICTIMS[victim];
      const target = { host: '127.0.0.1', port: service.port };
      const load = (tenantId: string, key: string, size: number, pace: Pace): Load => ({
        ...target,
        headers: { Authorization: `Bearer ${key}` },
        post: { path: '/v1/events', events: size, tenants: [tenantId] },
        ...pace,
      });
      const flood = (pace: Omit<Pace, keyof typeof FLOOD_PACE>) =>
        generate(load(FLOODING, floodKey, FLOOD_EVENTS, { ...pace, ...FLOOD_PACE }), meter());
      const victimAtPace = () =>
        generate(
          load(TENANT, service.key, events, { connections, everyMs, durationMs, warmupMs: 2_000 }),
          meter(),
        );
      const meter = () => new Meter({ service: service.pid, postmaster: server.postmaster });
      // The code of both is warm before the first is measured.
      const warmed = await flood({ connections: 4, warmupMs: 0, durationMs: 3_000 });
      const alone = await victimAtPace();
      const flooding = flood({
        connections: floodConnections,
        warmupMs: 3_000,
        durationMs: durationMs + 1_000,
      });
      await sleep(1_000);
      const beside = await victimAtPace();
      const flooded = await flooding;
      const reports: LoadReport[] = [warmed, alone, beside, flooded];
      const accepted = reports.reduce((sum, report) => sum + report.accepted, 0);
      const problems = reports
        .filter(({ failures }) => failures > 0)
        .map((report) => `${report.failures} requests failed: ${report.firstFailure}`);
      problems.push(
        ...(await withClient(database.url, (client) =>
          checkCounts(client, 'select count(*) as events from event', accepted),
        )),
      );
      stopped = true;
      problems.push(...(await service.stop()));
      return {
        victim,
        variant,
        alone: alone.latency,
        beside: beside.latency,
        floodEventsPerSecond: (flooded.requests * FLOOD_EVENTS) / flooded.seconds,
        floodRefusals: flooded.refusals,
        usage: beside.usage,
        problems,
      };
    } finally {
      if (!stopped) await service.stop();
    }
  } finally {
    await database.drop();
  }
}

function format(measured: Fairness[], { victims, variants }: Options): string {
  const rows = victims.flatMap((victim) =>
    variants.map((variant) => {
      const rounds = measured.filter((one) => one.victim === victim && one.variant === variant);
      const of = (pick: (one: Fairness) => number) => median(rounds.map(pick));
      const ratios = rounds.map((one) => one.beside.p99 / one.alone.p99);
      return [
        `${VICTIMS[victim].title}; ${VARIANTS[variant].title}`,
        `${figure(of((one) => one.alone.p50))} / ${figure(of((one) => one.alone.p99))}`,
        `${figure(of((one) => one.beside.p50))} / ${figure(of((one) => one.beside.p99))}`,
        `${figure(median(ratios))} (${figure(Math.min(...ratios))}–${figure(Math.max(...ratios))})`,
        figure(of((one) => one.floodEventsPerSecond)),
      ];
    }),
  );
  return table(
    ['victim; service', 'alone p50 / p99 ms', 'beside p50 / p99 ms', 'p99 ratio (min–max)', 'flood events/s'],
    rows,
  );
}

runToEnd(main);
