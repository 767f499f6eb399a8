import { setBack } from '../load/history.ts';
import { postSeries, SHAPES } from '../load/measurement.ts';
import { checkStored, identityBytes } from '../load/stored.ts';
import { customerIds, tenantIds } from '../load/workload.ts';
import { caughtUp } from '../services/caughtUp.ts';
import { holdClosing } from '../services/heldClosing.ts';
import { startTidemark, type Tidemark } from '../services/tidemark.ts';
import { buildService } from '../support/buildService.ts';
import { onEachEngine } from '../support/engines.ts';
import { interruption, unlessInterrupted } from '../support/interruption.ts';
import { machine } from '../support/machine.ts';
import { relationBytes } from '../support/relationSizes.ts';
import { keepResults } from '../support/results.ts';
import { runToEnd } from '../support/runToEnd.ts';
import { type BenchDatabase, type BenchServer, withClient } from '../support/servers.ts';
import { figure } from '../support/table.ts';
import { inWorkplace } from '../support/workplace.ts';
import { type Options, PARTS, readOptions } from './options.ts';
import { measureQueries } from './queries.ts';
import { formatScale, type PartReport, partTable, type ScaleReport, verdictsOf } from './report.ts';
import { TimeLapse } from './timeLapse.ts';

/*
 * Many events of many days through the service, on timescale: does it go on as it began? README.md says how to run and read it.
 */

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const SAY_MS = 10_000;
const REQUEST = SHAPES.batches.events;
const LEAST_HOURS = 1.25;
const HYPERTABLES = ['event', 'usage_30s', 'usage_1h', 'usage_1d', 'reference_1d'];

async function main(): Promise<void> {
  const options = readOptions(process.argv.slice(2));
  if (options.build) buildService();
  const started = new Date();
  await inWorkplace((folder) =>
    onEachEngine(['timescale'], folder, async (server) => {
      const report = await measureScale(server, options, folder);
      const minutes = (Date.now() - started.getTime()) / 60_000;
      const kept = await keepResults('scale', started, {
        minutes,
        options,
        ...report,
        verdicts: verdictsOf(report),
      });
      console.log(`\n${formatScale(report)}\n\n${Object.entries(machine()).flat().join(' ')}`);
      console.log(`${figure(minutes)} minutes, in ${kept}`);
      if (report.problems.length > 0) process.exitCode = 1;
    }),
  );
}

async function measureScale(server: BenchServer, options: Options, folder: string): Promise<ScaleReport> {
  const database = await server.createDatabase('migrated');
  try {
    const to = Math.floor(Date.now() / HOUR_MS) * HOUR_MS;
    const from = to - options.days * DAY_MS;
    await setBack(database.url, from);
    const closing = await holdClosing(database.url);
    try {
      const tenants = tenantIds(options.tenants);
      const service = await startTidemark({ url: database.url, folder, tenants });
      try {
        const time = new TimeLapse(closing, from, {
          lagMs: options.lagHours * HOUR_MS,
          packAfterDays: options.packAfterDays,
        });
        const run = new Run(server, database, service, options, time, from, to);
        try {
          return await Promise.race([run.measure(), time.failed]);
        } finally {
          await time.stop();
        }
      } finally {
        await service.stop();
      }
    } finally {
      await closing.release();
    }
  } finally {
    await database.drop();
  }
}

/** One run, from its first event to its last. */
class Run {
  private readonly parts: PartReport[] = [];
  private readonly problems: string[] = [];
  private sent = 0;
  private accepted = 0;

  constructor(
    private readonly server: BenchServer,
    private readonly database: BenchDatabase,
    private readonly service: Tidemark,
    private readonly options: Options,
    private readonly time: TimeLapse,
    private readonly from: number,
    private readonly to: number,
  ) {}

  async measure(): Promise<ScaleReport> {
    const { events, days } = this.options;
    // A hundredth, but so much that there is a whole hour to ask for.
    const least = (events * LEAST_HOURS) / (days * 24);
    await this.post(Math.ceil(Math.max(events / 100, least) / REQUEST) * REQUEST);
    const sizes = [await this.ask()];
    for (let part = 1; part <= PARTS; part++) {
      const report = await this.post((events / PARTS) * part);
      if (part > 1) this.parts.push(report);
      else this.parts.push({ ...report, events: events / PARTS });
      console.error(partTable([this.parts.at(-1)!]));
    }
    const ended = performance.now();
    sizes.push(await this.ask());
    const catchUpSeconds = this.settledAt - ended;
    const { packedChunks, differences } = await withClient(this.database.url, async (client) => ({
      packedChunks: (
        await client.query<{ n: number }>('select count(*)::int as n from retention_chunk where state <> 0')
      ).rows[0]!.n,
      differences: await checkStored(client, this.accepted),
    }));
    return {
      server: this.server.description,
      parts: this.parts,
      sizes,
      packedChunks,
      catchUpSeconds: catchUpSeconds / 1_000,
      problems: [...this.problems, ...differences, ...(await this.service.stop())],
    };
  }

  private settledAt = 0;

  /** Posts events until so many have been in all. */
  private async post(until: number): Promise<PartReport> {
    const { options, service, server, time } = this;
    const before = this.sent;
    time.looks = { all: 0, held: 0 };
    let saidAt = performance.now();
    let saidSent = 0;
    const report = await postSeries(service, server.postmaster, {
      key: service.adminKey,
      tenants: tenantIds(options.tenants),
      customers: customerIds(options.customers),
      series: { events: until - before, from: this.timeOf(before), to: this.timeOf(until) },
      steer: (progress) => {
        const elapsed = performance.now() - saidAt;
        if (elapsed >= SAY_MS) {
          console.error(
            `${figure(before + progress.sent)} events, ${figure((progress.sent - saidSent) / (elapsed / 1_000))}/s, ` +
              `at ${new Date(time.now).toISOString()}, refreshed ${figure(this.behindHours)} h behind` +
              `${progress.held ? ', held back' : ''}`,
          );
          saidAt = performance.now();
          saidSent = progress.sent;
        }
        return time.steer(progress);
      },
    });
    this.sent = until;
    this.accepted += report.accepted;
    this.problems.push(...report.problems);
    const rate = report.accepted / report.seconds;
    const micros = (cores: number | null) => (cores === null ? null : (cores * 1_000_000) / rate);
    const { usage } = report;
    return {
      events: until,
      accepted: report.accepted,
      seconds: report.seconds,
      held: time.looks.held / Math.max(1, time.looks.all),
      behindHours: this.behindHours,
      micros: {
        service: micros(usage.serviceCores),
        postgres: micros(usage.postgresCores),
        generator: micros(report.cores)!,
      },
      otherCores: usage.otherCores,
      peakRssMb: usage.peakRssMb,
      bytes: await this.bytes(),
    };
  }

  /** Asks once everything so far is closed and refreshed. */
  private async ask() {
    const until = this.timeOf(this.sent);
    // The last window of what there is may be cut.
    await unlessInterrupted(caughtUp(this.database, until - 60_000));
    this.settledAt = performance.now();
    const queries = await measureQueries(this.service, this.options, this.from, until);
    interruption.throwIfAborted();
    this.problems.push(...queries.flatMap(({ problems }) => problems));
    return { events: this.sent, queries };
  }

  private get behindHours(): number {
    return (this.time.now - this.time.refreshedUntil) / HOUR_MS;
  }

  private timeOf(events: number): number {
    return this.from + ((this.to - this.from) * events) / this.options.events;
  }

  private bytes(): Promise<Record<string, number>> {
    return withClient(this.database.url, async (client) => {
      const bytes: Record<string, number> = {};
      for (const relation of HYPERTABLES) bytes[relation] = await relationBytes(client, relation, true);
      bytes.identities = await identityBytes(client);
      const { rows } = await client.query<{ bytes: string }>(
        `select sum(pg_total_relation_size(oid)) as bytes from pg_class
         where relkind = 'r' and relnamespace = 'public'::regnamespace`,
      );
      bytes['all else'] = Number(rows[0]!.bytes) - bytes.identities;
      return bytes;
    });
  }
}

runToEnd(main);
