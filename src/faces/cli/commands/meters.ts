import { setTimeout as sleep } from 'node:timers/promises';
import { Command, Option } from 'commander';
import type pg from 'pg';
import type { TenantContext } from '../../../access/tenancy/tenantContext.ts';
import { ChunksMoved, repeatMoved } from '../../../ground/db/chunksMoved.ts';
import { Zones } from '../../../ground/zones/zones.ts';
import { StartupError, TidemarkError, UsageError } from '../../../model/errors.ts';
import { jsonNumber, parseJson, stringifyJson } from '../../../model/json.ts';
import { meterCsv } from '../../../outbound/exporting/meterCsv.ts';
import { beginSnapshot } from '../../../outbound/exporting/snapshot.ts';
import { createMeter } from '../../../sums/meters/catalog/createMeter.ts';
import { getMeter } from '../../../sums/meters/catalog/getMeter.ts';
import { listMeters } from '../../../sums/meters/catalog/listMeters.ts';
import type { Meter, MeterFill } from '../../../sums/meters/catalog/meter.ts';
import { definitionJson, requireNewMeter } from '../../../sums/meters/catalog/newMeter.ts';
import { AGGREGATIONS } from '../../../sums/meters/definition/meterDefinition.ts';
import { CUSTOMER, type MeterPoint, type MeterQuery } from '../../../sums/meters/reading/meterQuery.ts';
import { queryMeter } from '../../../sums/meters/reading/queryMeter.ts';
import { meterBegins } from '../../../sums/meters/reading/seriesState.ts';
import { GRANULARITIES, type Granularity } from '../../../sums/rollups/granularity.ts';
import { meterQueryOf } from '../../http/meterQuery.ts';
import { collected, joined, moment } from '../arguments.ts';
import { EXIT_CODES, INTERRUPTED } from '../exitCodes.ts';
import { forTenant } from '../forTenant.ts';
import { interruption, runCommand } from '../runCommand.ts';
import { showProgress } from '../showProgress.ts';
import { table } from '../table.ts';

const PAGE = 1_000;
const LOOK_MS = 500;

const HELP = `
Works on the database (DATABASE_URL, else the local one in DATA_DIR), whether the service runs or not. What a meter is:
docs/meters.md. Changes are in the audit log, as made by a command.

${EXIT_CODES}`;

interface Owner {
  tenant: string;
}

interface CreateFlags extends Owner {
  slug: string;
  eventType: string;
  aggregation: string;
  value?: string;
  name?: string;
  description?: string;
  eventFrom?: string;
  dimension: string[];
  filter?: string;
}

interface QueryFlags extends Owner {
  from?: number;
  to?: number;
  granularity?: Granularity;
  timezone: string;
  groupBy?: string;
  customer: string[];
  filter: string[];
  format: 'table' | 'csv' | 'ndjson';
}

export function metersCommand(): Command {
  return new Command('meters')
    .usage('list|create|query|backfill --tenant ID [options]')
    .summary('list, make and ask meters')
    .description("Lists, makes and asks a tenant's meters, and waits until their past is summed up.")
    .addHelpText('after', HELP)
    .addCommand(
      withTenant(new Command('list').description('Lists meters, oldest first.'))
        .option('--archived', 'also those that are archived')
        .option('--json', 'print a JSON array')
        .action((flags) => runCommand(() => list(flags))),
    )
    .addCommand(
      withTenant(new Command('create').description('Makes a meter.'))
        .argument('<slug>', 'lower-case letters, digits and underscores')
        .requiredOption('--event-type <type>', 'of the events that it counts')
        .addOption(
          new Option('--aggregation <how>', 'what becomes of their values')
            .choices(AGGREGATIONS)
            .makeOptionMandatory(),
        )
        .option('--value <path>', `what is aggregated, as '$.gb'; of every aggregation but count`)
        .option('--name <name>', 'default: the slug')
        .option('--description <text>', 'what it is')
        .option('--event-from <time>', 'what lies before it does not count')
        .option('--dimension <name=path>', `as 'region=$.region'; may be given several times`, collected, [])
        .option('--filter <json>', `conditions, as '[{"path": "$.ok", "equals": true}]'`)
        .addHelpText(
          'after',
          `\nExample:\n  npx tidemark meters create egress_gb --tenant demo --event-type egress --aggregation sum --value '$.gb'`,
        )
        .action((slug, flags) => runCommand(() => create({ ...flags, slug }))),
    )
    .addCommand(
      withTenant(new Command('query').description('Prints the numbers of a meter.'))
        .argument('<slug>', 'of the meter, or its id')
        .option('--from <time>', 'the first moment: 2026-11-01, or 2026-11-01T12:00:00Z', moment)
        .option('--to <time>', 'the first moment after it', moment)
        .addOption(
          new Option('--granularity <length>', 'of windows; left out: one for all').choices(GRANULARITIES),
        )
        .option('--timezone <name>', 'whose hours, days and months they are, as in Europe/Berlin', 'UTC')
        .option('--group-by <names>', 'dimensions and customer, separated by commas', joined)
        .option('--customer <id>', 'of this customer only; may be given several times', collected, [])
        .option(
          '--filter <name=value>',
          'with this value of a dimension; may be given several times',
          collected,
          [],
        )
        .addOption(
          new Option('--format <format>', 'of the rows').choices(['table', 'csv', 'ndjson']).default('table'),
        )
        .action((slug, flags) => runCommand(() => query(slug, flags))),
    )
    .addCommand(
      withTenant(
        new Command('backfill').description(
          'Tells how far the past of a meter is summed up, and waits until it is. Instances that run do it; until then ' +
            'answers come from the events, as exact and slower.',
        ),
      )
        .argument('<slug>', 'of the meter, or its id')
        .option('--no-wait', 'tell and end')
        .action((slug, flags) => runCommand(() => backfill(slug, flags))),
    );
}

function withTenant(command: Command): Command {
  return command.requiredOption('--tenant <id>', 'whose');
}

function list({ archived, json, ...owner }: Owner & { archived?: true; json?: true }): Promise<number> {
  return forTenant(owner.tenant, async (client, context) => {
    const meters: Meter[] = [];
    let cursor: string | undefined;
    do {
      const page = await listMeters(client, context, { archived: archived ?? false, cursor, limit: PAGE });
      meters.push(...page.data);
      cursor = page.nextCursor ?? undefined;
    } while (cursor !== undefined);
    if (json) print(meters.map(meterJson));
    else process.stdout.write(table([HEADER, ...meters.map(rowOf)]));
    return 0;
  });
}

const HEADER = ['slug', 'event type', 'aggregation', 'value', 'dimensions', 'state', 'created'];

function rowOf({ slug, definition, fill, createdAt, archivedAt }: Meter): string[] {
  const { eventType, aggregation, value, dimensions } = definition;
  const state = archivedAt === null ? fill.state : 'archived';
  return [slug, eventType, aggregation, value ?? '', Object.keys(dimensions).join(','), state, createdAt];
}

function create(flags: CreateFlags): Promise<number> {
  const { tenant, dimension, filter, ...parts } = flags;
  const meter = meantBy(() =>
    requireNewMeter({
      ...parts,
      dimensions: Object.fromEntries(dimension.map((text) => pairOf('--dimension', text))),
      ...(filter !== undefined && { filter: conditionsOf(filter) }),
    }),
  );
  return forTenant(tenant, async (client, context, config) => {
    print(meterJson(await createMeter(client, context, meter, config.meters.perTenant)));
    return 0;
  });
}

/** What a command line cannot mean, told as such. */
function meantBy<Result>(read: () => Result): Result {
  try {
    return read();
  } catch (error) {
    throw usageFault(error);
  }
}

function usageFault(error: unknown): unknown {
  return error instanceof TidemarkError ? new UsageError(error.message) : error;
}

function conditionsOf(json: string): unknown {
  try {
    return parseJson(json);
  } catch {
    throw new UsageError('--filter: a JSON array of conditions is needed');
  }
}

function query(slug: string, flags: QueryFlags): Promise<number> {
  const { from, to, granularity, timezone, groupBy, customer, filter, format } = flags;
  const asked = new URLSearchParams({
    timezone,
    limit: String(PAGE),
    ...(from !== undefined && { from: new Date(from).toISOString() }),
    ...(to !== undefined && { to: new Date(to).toISOString() }),
    ...(granularity !== undefined && { granularity }),
    ...(groupBy !== undefined && { groupBy }),
  });
  for (const id of customer) asked.append('customerId', id);
  for (const [name, value] of filter.map((text) => pairOf('--filter', text))) {
    asked.append(`filter[${name}]`, value);
  }
  return forTenant(flags.tenant, async (client, context, config) => {
    const meter = await getMeter(client, context, slug);
    if (meter.archivedAt !== null) throw new StartupError('the meter is archived');
    const services = { zones: new Zones(client), config };
    const begins = async () => {
      await beginSnapshot(client, context);
      return meterBegins(client, context, meter.seriesId).finally(() => client.query('rollback'));
    };
    const asking = meterQueryOf(asked, meter.definition, services, begins);
    const { query: wanted } = await asking.catch((error) => {
      throw usageFault(error);
    });
    const points = await allPoints(client, context, meter, wanted);
    process.stdout.write(printed(points, wanted.groupBy, format));
    return 0;
  });
}

/** Every page, all of one moment. */
function allPoints(
  client: pg.Client,
  context: TenantContext,
  meter: Meter,
  wanted: MeterQuery,
): Promise<MeterPoint[]> {
  return repeatMoved(async () => {
    await beginSnapshot(client, context);
    try {
      const points: MeterPoint[] = [];
      let cursor: string | undefined;
      do {
        const page = await queryMeter(client, context, meter, { ...wanted, cursor });
        points.push(...page.data);
        cursor = page.nextCursor ?? undefined;
      } while (cursor !== undefined);
      const { rows } = await client.query<{ moved: boolean }>('select tenant_data.chunks_moved() as moved');
      if (rows[0]!.moved) throw new ChunksMoved();
      return points;
    } finally {
      await client.query('rollback');
    }
  });
}

function printed(points: MeterPoint[], groupBy: string[], format: QueryFlags['format']): string {
  if (format === 'csv') return meterCsv(points, groupBy);
  if (format === 'ndjson') {
    return points
      .map((point) => {
        const number = point.value === null ? null : jsonNumber(point.value);
        return `${stringifyJson({ ...point, number })}\n`;
      })
      .join('');
  }
  const header = ['window start', 'window end', ...groupBy, 'value', 'events', 'ignored', 'state'];
  const rows = points.map((point) => [
    point.windowStart,
    point.windowEnd,
    ...groupBy.map((name) => (name === CUSTOMER ? point.customerId! : (point.dimensions![name] ?? '–'))),
    point.value ?? '–',
    point.events,
    point.ignored,
    point.state,
  ]);
  return table([header, ...rows]);
}

function backfill(slug: string, { wait, ...owner }: Owner & { wait: boolean }): Promise<number> {
  const signal = interruption();
  return forTenant(owner.tenant, async (client, context) => {
    let meter = await getMeter(client, context, slug);
    if (meter.archivedAt !== null) throw new StartupError('the meter is archived');
    const progress = showProgress(() => fillLine(meter), wait);
    try {
      while (wait && meter.fill.state === 'filling' && !signal.aborted) {
        await sleep(LOOK_MS, undefined, { signal }).catch(() => undefined);
        meter = await getMeter(client, context, meter.id);
      }
    } finally {
      progress.stop();
    }
    process.stdout.write(`${fillLine(meter)}\n`);
    return signal.aborted ? INTERRUPTED : 0;
  });
}

/** How far it is, by time: of an even flow, by events too. */
function fillLine({ slug, createdAt, fill }: Meter): string {
  if (fill.state === 'complete') {
    return `${slug}: summed up${fill.from === null ? '' : ` from ${fill.from} on`}`;
  }
  if (fill.from === null) return `${slug}: filling has not begun; an instance does it within seconds`;
  return `${slug}: summed up from ${fill.from} on${share(createdAt, fill)}`;
}

function share(createdAt: string, { from, goal }: MeterFill): string {
  if (goal === null || from === null) return '';
  const [whole, done] = [Date.parse(createdAt) - Date.parse(goal), Date.parse(createdAt) - Date.parse(from)];
  if (whole <= 0) return '';
  return `, ${Math.floor(Math.min(1, Math.max(0, done / whole)) * 100)} % of the way to ${goal}`;
}

function meterJson({ definition, seriesId: _, ...meter }: Meter) {
  return { ...meter, ...definitionJson(definition) };
}

function pairOf(option: string, text: string): [name: string, value: string] {
  const at = text.indexOf('=');
  if (at <= 0) throw new UsageError(`${option}: write it as name=value`);
  return [text.slice(0, at), text.slice(at + 1)];
}

function print(value: unknown): void {
  process.stdout.write(`${stringifyJson(value)}\n`);
}
