import { Command, Option } from 'commander';
import type pg from 'pg';
import { type TenantContext, tenantContext } from '../../../access/tenancy/tenantContext.ts';
import type { Config } from '../../../ground/config/loadConfig.ts';
import { namesOf } from '../../../ground/zones/zoneNames.ts';
import { firstShown, type ZoneOffset } from '../../../ground/zones/zoneOffset.ts';
import { Zones } from '../../../ground/zones/zones.ts';
import { TidemarkError, UsageError } from '../../../model/errors.ts';
import { ExportCounts, type ExportFormat } from '../../../outbound/exporting/exportCounts.ts';
import { exportEvents } from '../../../outbound/exporting/exportEvents.ts';
import { exportUsage } from '../../../outbound/exporting/exportUsage.ts';
import { beginSnapshot, endSnapshot } from '../../../outbound/exporting/snapshot.ts';
import { writeOutput } from '../../../outbound/exporting/writeOutput.ts';
import { GRANULARITIES, type Granularity } from '../../../sums/rollups/granularity.ts';
import { GROUPINGS, type Grouping } from '../../../sums/rollups/usageSeries.ts';
import { joined, type WrittenMoment, writtenMoment } from '../arguments.ts';
import { EXIT_CODES, INTERRUPTED } from '../exitCodes.ts';
import { requireTenant } from '../requireTenant.ts';
import { interruption, runCommand } from '../runCommand.ts';
import { showProgress } from '../showProgress.ts';
import { withSchema } from '../withSchema.ts';

const YEAR_MS = 366 * 86_400_000;

const HELP = `
Everything that was acknowledged before it began is in it, and nothing after: it is read from one snapshot, through the
views that show one tenant. --from is included, --to is not; dates, and times without a zone, are those of --timezone,
else UTC. Of a bucket that the range cuts, the sums are those of the part that is in it.

A file gets its name when it is complete, and replaces what had the name; .gz compresses. Without --out the lines go to
standard output. NDJSON of events is what "tidemark import" takes: importing it again adds nothing. Decimals are exact;
in CSV, texts that a spreadsheet would take for a formula are led by an apostrophe, which import takes off.

The database is DATABASE_URL, else the local one in DATA_DIR, whether the service runs or not.

${EXIT_CODES}`;

interface Flags {
  tenant: string;
  from: WrittenMoment;
  to?: WrittenMoment;
  customer?: string;
  format?: ExportFormat;
  out?: string;
}

interface EventFlags extends Flags {
  eventType?: string;
  reference?: string;
}

interface UsageFlags extends Flags {
  endpoint?: string;
  model?: string;
  eventType?: string;
  granularity: Granularity;
  groupBy?: string;
  timezone: string;
}

/** What is exported, and how. */
type Lines = (client: pg.Client, context: TenantContext, counts: ExportCounts) => AsyncIterable<string>;

export function exportCommand(): Command {
  return new Command('export')
    .usage('events|usage --tenant ID --from TIME [options]')
    .summary('write events or usage to a file')
    .description(
      'Writes the events or the usage of a tenant and a time range as CSV or NDJSON, however many.',
    )
    .addHelpText('after', HELP)
    .addCommand(
      withRange(new Command('events').description('Writes events, oldest first.'), 'ndjson')
        .option('--event-type <type>', 'of this type only')
        .option('--reference <id>', 'of this reference only')
        .addHelpText(
          'after',
          '\nExample:\n  npx tidemark export events --tenant demo --from 2026-11-01 --to 2026-12-01 --out november.ndjson.gz',
        )
        .action((flags: EventFlags) => runCommand(() => events(flags))),
    )
    .addCommand(
      withRange(new Command('usage').description('Writes sums per bucket of time, and per group.'), 'csv')
        .addOption(
          new Option('--granularity <length>', 'of the buckets').choices(GRANULARITIES).default('1d'),
        )
        .option('--group-by <groups>', `some of ${GROUPINGS.join(', ')}, separated by commas`, joined)
        .option('--timezone <name>', 'whose hours, days and months they are, as in Europe/Berlin', 'UTC')
        .option('--endpoint <path>', 'of this endpoint only')
        .option('--model <name>', 'of this model only')
        .option('--event-type <type>', 'of this type only')
        .addHelpText(
          'after',
          '\nExample:\n  npx tidemark export usage --tenant demo --from 2026-11-01 --group-by customer,model --out november.csv',
        )
        .action((flags: UsageFlags) => runCommand(() => usage(flags))),
    );
}

function withRange(command: Command, format: ExportFormat): Command {
  return command
    .requiredOption('--tenant <id>', 'whose; an inactive one may be exported too')
    .requiredOption('--from <time>', 'the first moment: 2026-11-01, or 2026-11-01T12:00:00Z', writtenMoment)
    .option(
      '--to <time>',
      'the first moment after it (default: as far as events are accepted ahead)',
      writtenMoment,
    )
    .option('--customer <id>', 'of this customer only')
    .addOption(
      new Option('--format <format>', `default: by the name of the file, else ${format}`).choices([
        'csv',
        'ndjson',
      ]),
    )
    .option('--out <file>', 'default: standard output');
}

function events(flags: EventFlags): Promise<number> {
  const { customer: customerId, eventType, reference } = flags;
  const format = formatOf(flags, 'ndjson');
  return write(flags, 'events', (range) => (client, context, counts) => {
    return exportEvents(client, context, { ...range, customerId, eventType, reference }, format, counts);
  });
}

function usage(flags: UsageFlags): Promise<number> {
  const { customer: customerId, endpoint, model, eventType, granularity } = flags;
  const groupBy = parseGroupings(flags.groupBy);
  try {
    namesOf(flags.timezone);
  } catch (error) {
    throw zoneFault(error);
  }
  const format = formatOf(flags, 'csv');
  const filters = { customerId, endpoint, model, eventType };
  return write(flags, 'buckets', (range) => (client, context, counts) => {
    return exportUsage(client, context, { ...range, ...filters, granularity, groupBy }, format, counts);
  });
}

/** @param what the rows are, for people. */
function write(
  flags: Flags & { timezone?: string },
  what: string,
  lines: (range: Range) => Lines,
): Promise<number> {
  if (flags.to !== undefined && flags.to.ms <= flags.from.ms)
    throw new UsageError('--from must be before --to');
  const signal = interruption();
  return withSchema('export', async (client, config) => {
    const range = await rangeOf(flags, client, config);
    await requireTenant(client, flags.tenant);
    const context = tenantContext(flags.tenant);
    const counts = new ExportCounts();
    const started = performance.now();
    const progress = showProgress(() => progressLine(counts, range, what, started), false);
    try {
      await beginSnapshot(client, context);
      await writeOutput(flags.out, lines(range)(client, context, counts), signal);
      await endSnapshot(client);
    } catch (error) {
      if (!signal.aborted) throw error;
      progress.stop();
      process.stderr.write(
        flags.out === undefined ? 'interrupted\n' : `interrupted; ${flags.out} is not written\n`,
      );
      return INTERRUPTED;
    } finally {
      progress.stop();
    }
    const seconds = (performance.now() - started) / 1_000;
    const to = flags.out === undefined ? '' : ` to ${flags.out}`;
    process.stderr.write(
      `exported ${counts.rows.toLocaleString('en')} ${what}${to} in ${seconds.toFixed(1)} s\n`,
    );
    return 0;
  });
}

/** In ms since the epoch, and what the clock of the zone is ahead of UTC around it. */
interface Range {
  from: number;
  to: number;
  offsets: readonly ZoneOffset[];
}

async function rangeOf(
  flags: Flags & { timezone?: string },
  client: pg.Client,
  config: Config,
): Promise<Range> {
  const now = Date.now();
  const { from, to = { ms: now + config.ingest.acceptAheadMs, zoneless: false }, timezone = 'UTC' } = flags;
  // No event lies a year ahead, and no calendar is needed there.
  const last = { ...to, ms: Math.min(to.ms, now + YEAR_MS) };
  if (last.ms <= from.ms) throw new UsageError('--from must not be in the future');
  const offsets = await new Zones(client).offsets(timezone, from.ms, last.ms).catch((error) => {
    throw zoneFault(error);
  });
  const momentOf = ({ ms, zoneless }: WrittenMoment) => (zoneless ? firstShown(offsets, ms) : ms);
  const range = { from: momentOf(from), to: momentOf(last), offsets };
  if (range.to <= range.from) throw new UsageError('--from must be before --to');
  return range;
}

/** What is wrong with a zone's name, told as what is wrong with the option. */
function zoneFault(error: unknown): unknown {
  return error instanceof TidemarkError ? new UsageError(`--timezone: ${error.message}`) : error;
}

/** Rows come in order of time, so the time that is reached says how much is left; of an even flow, exactly. */
function progressLine(
  counts: ExportCounts,
  range: { from: number; to: number },
  what: string,
  started: number,
): string {
  if (counts.reachedMs === null) return 'waiting for the database …';
  const seconds = (performance.now() - started) / 1_000;
  const share = Math.min(1, Math.max(0, (counts.reachedMs - range.from) / (range.to - range.from)));
  const rows = counts.rows.toLocaleString('en');
  const rate = Math.round(counts.rows / Math.max(seconds, 0.001)).toLocaleString('en');
  const reached = new Date(counts.reachedMs).toISOString();
  return `${rows} ${what}, ${rate}/s, up to ${reached} (${Math.floor(share * 100)} % of the time)`;
}

function formatOf({ format, out }: Flags, otherwise: ExportFormat): ExportFormat {
  if (format !== undefined) return format;
  if (out === undefined) return otherwise;
  if (/\.csv(\.gz)?$/i.test(out)) return 'csv';
  return /\.(ndjson|jsonl|json)(\.gz)?$/i.test(out) ? 'ndjson' : otherwise;
}

function parseGroupings(text: string | undefined): Grouping[] {
  if (text === undefined || text === '') return [];
  const groups = text.split(',').map((group) => group.trim());
  if (
    !groups.every((group) => GROUPINGS.includes(group as Grouping)) ||
    new Set(groups).size < groups.length
  ) {
    throw new UsageError(`--group-by: each of ${GROUPINGS.join(', ')} at most once`);
  }
  return groups as Grouping[];
}
