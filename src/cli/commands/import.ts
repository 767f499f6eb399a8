import { Command, InvalidArgumentError, Option } from 'commander';
import { loadConfig } from '../../config.ts';
import { prepareDatabase } from '../../db/prepareDatabase.ts';
import { type ImportOutcome, importFile } from '../../importing/importFile.ts';
import { type BadLine, ImportCounts } from '../../importing/importRows.ts';
import { parseMapping, TARGETS } from '../../importing/mapping.ts';
import { openSource, type Source } from '../../importing/openSource.ts';
import { showProgress } from '../../importing/progress.ts';
import { count, delimiter, joined } from '../arguments.ts';
import { EXIT_CODES, INTERRUPTED } from '../exitCodes.ts';
import { interruption, runCommand, toolLogger } from '../runCommand.ts';
import { withDatabase } from '../withDatabase.ts';

/** Bad lines that are printed; the others are counted. */
const BAD_LINES_PRINTED = 20;

const HELP = `
Columns that --map knows: ${Object.keys(TARGETS).join(', ')}.
A mapped column wins over a flag; the flag fills its empty cells. Times without a zone are UTC; digits beyond
microseconds are cut off. Lines of NDJSON are native events, unless --map or --metadata says otherwise.

Event ids. A row without an eventId gets a UUID of three parts: the file (12 digits of a digest of the header, the
first row and --customer), the line number, and a digest of the row's values. So importing a file again adds nothing,
also when it was renamed or compressed, when rows have been appended, or with another --from-line. A row that was
corrected in place is a new event, the rows around it are not; insert or remove no lines. After a change to the
header or the first row, pass the prefix that the first import printed as --id-prefix. Ids are known for as long as
IDENTITY_HORIZON_DAYS (35) says: a file that is imported again later than that is counted again.

Events may be as old as events are kept (EVENT_RETENTION_DAYS); lines with older ones are bad lines.

Bad lines up to --max-errors are no failure. An import that fails or is interrupted finishes what is under way and
prints the line to resume from.

The database is DATABASE_URL, else the local one in DATA_DIR, whether the service runs or not.

Example:
  npx tidemark import trace.csv --tenant demo --customer acme --endpoint /api/completion --model gpt-4 \\
    --map timestamp=TIMESTAMP,inputTokens=ContextTokens,outputTokens=GeneratedTokens

${EXIT_CODES}`;

interface Flags {
  tenant: string;
  createTenant: boolean;
  customer?: string;
  endpoint?: string;
  model?: string;
  eventType?: string;
  sourceId?: string;
  reference?: string;
  unit?: string;
  map: string;
  metadata: string;
  format?: 'csv' | 'ndjson';
  delimiter: string;
  fromLine: number;
  maxErrors: number;
  idPrefix?: string;
}

export function importCommand(): Command {
  return new Command('import')
    .usage('FILE --tenant ID [options]')
    .summary('import events from a file')
    .description('Streams a CSV or NDJSON file (also .gz) of any size and any age into the database.')
    .argument('<file>', 'the file; UTF-8')
    .requiredOption('--tenant <id>', 'tenant that the events belong to')
    .option('--create-tenant', 'make the tenant where there is none', false)
    .option('--customer <id>', 'customer of every event')
    .option('--endpoint <path>', 'endpoint of every event')
    .option('--model <name>', 'model of every event')
    .option('--event-type <type>', 'type of every event (default: api.request)')
    .option('--source-id <id>', 'source of every event')
    .option('--reference <id>', 'reference of every event')
    .option('--unit <unit>', 'unit of every value')
    .option('--map <target=COLUMN,…>', 'which column is what', joined, '')
    .option('--metadata <COLUMN,…>', 'columns to keep as metadata', joined, '')
    .addOption(new Option('--format <format>', 'default: by the name of the file').choices(['csv', 'ndjson']))
    .option('--delimiter <character>', 'between the fields of CSV; tab for tabs', delimiter, ',')
    .option('--from-line <n>', 'pass over rows that begin before this line', count, 1)
    .option('--max-errors <n>', 'bad lines to go on after', count, 100)
    .option('--id-prefix <digits>', 'what event ids begin with, as an import has printed it', idPrefix)
    .addHelpText('after', HELP)
    .action((file: string, flags: Flags) => runCommand(() => run(file, flags)));
}

async function run(path: string, flags: Flags): Promise<number> {
  const config = loadConfig();
  const source = await openSource({
    path,
    format: flags.format ?? (/\.(ndjson|jsonl|json)(\.gz)?$/i.test(path) ? 'ndjson' : 'csv'),
    delimiter: flags.delimiter,
    tenantId: flags.tenant,
    mapping: parseMapping(flags.map, flags.metadata),
    constants: {
      customerId: flags.customer,
      apiEndpoint: flags.endpoint,
      model: flags.model,
      eventType: flags.eventType,
      sourceId: flags.sourceId,
      reference: flags.reference,
      unit: flags.unit,
    },
    idPrefix: flags.idPrefix,
    aheadMs: config.ingest.acceptAheadMs,
  });
  const signal = interruption();
  const log = toolLogger();
  try {
    return await withDatabase(config, async (url) => {
      await prepareDatabase(url, config.database, log);
      const counts = new ImportCounts();
      const progress = showProgress(source.input, counts);
      try {
        const outcome = await importFile({
          config,
          url,
          source,
          tenantId: flags.tenant,
          createTenant: flags.createTenant,
          fromLine: flags.fromLine,
          maxErrors: flags.maxErrors,
          counts,
          onBadLine: printer(counts, progress.note),
          onRefresh() {
            progress.stop();
            process.stderr.write('refreshing the summaries of the imported time …\n');
          },
          log,
          signal,
        });
        progress.stop();
        process.stdout.write(summary(path, source, counts, outcome));
        return conclude(counts, outcome, flags.maxErrors, signal.aborted);
      } finally {
        progress.stop();
      }
    });
  } finally {
    await source.input.close();
  }
}

/** Prints the faults of the first bad lines. */
function printer(counts: ImportCounts, print: (line: string) => void): (fault: BadLine) => void {
  return ({ line, pointer, code, message }) => {
    if (counts.badLines > BAD_LINES_PRINTED) return;
    print(`line ${line}: ${[pointer, code].filter(Boolean).join(' ')}: ${message}`);
    if (counts.badLines === BAD_LINES_PRINTED) print('further bad lines are counted and not printed');
  };
}

function summary(path: string, source: Source, counts: ImportCounts, outcome: ImportOutcome): string {
  const seconds = outcome.importMs / 1_000;
  const figure = (value: number) => value.toLocaleString('en');
  const lines: [string, string][] = [
    ['rows read', figure(counts.rows)],
    ['stored', figure(counts.stored)],
    ['duplicates', figure(counts.duplicates)],
    ['bad lines', figure(counts.badLines)],
    [
      'seconds',
      `${seconds.toFixed(2)} (${figure(Math.round(counts.rows / Math.max(seconds, 0.001)))} rows/s)`,
    ],
  ];
  if (outcome.refreshMs !== null)
    lines.push(['refresh', `${(outcome.refreshMs / 1_000).toFixed(2)} seconds more`]);
  lines.push(['id prefix', source.idPrefix]);
  return `${path}\n${lines.map(([name, value]) => `  ${name.padEnd(11)}${value}`).join('\n')}\n`;
}

/** Says how it ended. @returns the exit code. */
function conclude(
  counts: ImportCounts,
  { stop, refreshCut }: ImportOutcome,
  maxErrors: number,
  interrupted: boolean,
): number {
  const say = (text: string) => process.stderr.write(`${text}\n`);
  if (refreshCut) say('the service refreshes the summaries when it runs; reads are exact before that too');
  if (stop === null) {
    if (counts.badLines > 0)
      say(`done, without the ${counts.badLines} bad lines (--max-errors ${maxErrors})`);
    return !refreshCut ? 0 : interrupted ? INTERRUPTED : 1;
  }
  const resume = `resume with --from-line ${stop.resumeLine}`;
  switch (stop.reason) {
    case 'interrupted':
      say(`interrupted; ${resume}`);
      return INTERRUPTED;
    case 'bad-lines':
      say(`stopped: ${counts.badLines} bad lines are more than --max-errors ${maxErrors}; ${resume}`);
      return 1;
    case 'failed':
      say(`stopped: ${reasonOf(stop.error)}; ${resume}`);
      return 1;
  }
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause = error.cause instanceof Error ? ` (${error.cause.message})` : '';
  return `${error.message}${cause}`;
}

function idPrefix(value: string): string {
  if (!/^[0-9a-f]{12}$/.test(value)) throw new InvalidArgumentError('12 hexadecimal digits are needed');
  return value;
}
