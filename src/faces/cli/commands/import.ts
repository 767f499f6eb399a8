import { Command, InvalidArgumentError, Option } from 'commander';
import { loadConfig } from '../../../ground/config/loadConfig.ts';
import { prepareDatabase } from '../../../ground/db/prepareDatabase.ts';
import { type ImportOutcome, importFile } from '../../../intake/importing/importFile.ts';
import { type BadLine, ImportCounts } from '../../../intake/importing/importRows.ts';
import { parseMapping, TARGETS } from '../../../intake/importing/mapping.ts';
import { FORMATS, type Format, openSource, type Source } from '../../../intake/importing/openSource.ts';
import { showProgress } from '../../../intake/importing/progress.ts';
import type { LastRow } from '../../../intake/importing/row.ts';
import { TIME_FORMATS, type TimeFormat } from '../../../intake/importing/timeFormat.ts';
import { collected, count, delimiter } from '../arguments.ts';
import { EXIT_CODES, FAILED, INTERRUPTED } from '../exitCodes.ts';
import { interruption, runCommand, toolLogger } from '../runCommand.ts';
import { withDatabase } from '../withDatabase.ts';

/** Bad lines that are printed; the others are counted. */
const BAD_LINES_PRINTED = 20;

const HELP = `
Columns that --map knows: ${Object.keys(TARGETS).join(', ')}.
A mapped column wins over a flag; the flag fills its empty cells. A column with commas, or with blanks around it, is
written in quotes, one with quotes with these doubled: --map 'tokens="tokens, total",value=" c"'. Times without a zone
are UTC; digits beyond microseconds are cut off; --time-format reads numbers since 1970. Cells of metadata, usage,
totalUsage, usageMetadata and response are objects in JSON: the usage object of an AI provider, or a whole response.

Files. FILE may be "-" for standard input. Lines of NDJSON, and elements of JSON, are native events, unless --map or
--metadata says otherwise. JSON is an array of them, or one object after another; its elements are counted from 1 where
others have lines. A file named .json is either: its beginning tells. CSV that "tidemark export" has written loses the
apostrophes that keep spreadsheets from calculating; other files lose them with --guarded.

The end. Nobody can tell whether a last line without a line end is whole: 12 may become 1234. Unless --last-row says what
to do, such a row is left out, its line is told, and the exit code is ${FAILED}. "take" reads it as it is: for files that are
complete, as some programs leave out the last line end. "leave" is for files that grow: the next run reads it. A last
line of NDJSON that is an object is whole, and is read.

Event ids. A row without an eventId gets a UUID of three parts: the file (12 digits of a digest of the header, the
first row, --customer, and whatever else is said of its rows: --map, --metadata, --model, --unit, --time-format, …), the
line number, and a digest of the row's values. So importing a file again adds nothing, also when it was renamed or
compressed, when rows have been appended, or with another --from-line; importing it with another meaning adds all of it.
A row that was corrected in place is a new event, the rows around it are not; insert or remove no lines. After a change
to the header, the first row or the flags, pass the prefix that the first import printed as --id-prefix; to count rows
again that are known, pass one of your own. Ids are known for as long as IDENTITY_HORIZON_DAYS (35) says: a file that is
imported again later than that is counted again.

Events may be as old as events are kept (EVENT_RETENTION_DAYS); lines with older ones are bad lines.

Bad lines up to --max-errors are no failure, but where nothing at all was good. An import that fails or is interrupted finishes what is under way and
prints the line to resume from.

With --backfill the events are stored and do not count: POST /v1/backfills makes one, GET /v1/backfills/ID shows what
they would change, POST /v1/backfills/ID/close has them count. Lines outside of its range or customers are bad lines.

The database is DATABASE_URL, else the local one in DATA_DIR, whether the service runs or not.

Example:
  npx tidemark import trace.csv --tenant demo --customer acme --endpoint /api/completion --model gpt-4 \\
    --map timestamp=TIMESTAMP,inputTokens=ContextTokens,outputTokens=GeneratedTokens

${EXIT_CODES}`;

interface Flags {
  tenant: string;
  createTenant: boolean;
  backfill?: string;
  customer?: string;
  endpoint?: string;
  model?: string;
  eventType?: string;
  sourceId?: string;
  reference?: string;
  unit?: string;
  map: string[];
  metadata: string[];
  timeFormat: TimeFormat;
  format?: Format;
  delimiter: string;
  guarded: boolean;
  lastRow?: LastRow;
  fromLine: number;
  maxErrors: number;
  idPrefix?: string;
}

export function importCommand(): Command {
  return new Command('import')
    .usage('FILE --tenant ID [options]')
    .summary('import events from a file')
    .description('Streams a CSV, NDJSON or JSON file (also .gz) of any size and any age into the database.')
    .argument('<file>', 'the file, or - for standard input; UTF-8')
    .requiredOption('--tenant <id>', 'tenant that the events belong to')
    .option('--create-tenant', 'make the tenant where there is none', false)
    .option('--backfill <id>', 'stage the events for this backfill: they count once it is closed')
    .option('--customer <id>', 'customer of every event')
    .option('--endpoint <path>', 'endpoint of every event')
    .option('--model <name>', 'model of every event')
    .option('--event-type <type>', 'type of every event (default: api.request)')
    .option('--source-id <id>', 'source of every event')
    .option('--reference <id>', 'reference of every event')
    .option('--unit <unit>', 'unit of every value')
    .option('--map <target=COLUMN,…>', 'which column is what', collected, [])
    .option('--metadata <COLUMN,…>', 'columns to keep as metadata', collected, [])
    .addOption(
      new Option('--time-format <format>', 'of times: ISO 8601, or a number since 1970 in s, ms, us or ns')
        .choices(TIME_FORMATS)
        .default('iso'),
    )
    .addOption(new Option('--format <format>', 'default: by the name of the file').choices(FORMATS))
    .option('--delimiter <character>', 'between the fields of CSV; tab for tabs', delimiter, ',')
    .option('--guarded', 'texts of CSV are led by apostrophes where they would be formulas', false)
    .addOption(
      new Option(
        '--last-row <what>',
        'a row that the file ends in: read it, or leave it to the next run',
      ).choices(['take', 'leave']),
    )
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
    format: flags.format,
    delimiter: flags.delimiter,
    tenantId: flags.tenant,
    mapping: parseMapping(flags.map, flags.metadata),
    timeFormat: flags.timeFormat,
    guarded: flags.guarded,
    lastRow: flags.lastRow ?? 'leave',
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
          backfill: flags.backfill,
          fromLine: flags.fromLine,
          maxErrors: flags.maxErrors,
          counts,
          onBadLine: printer(counts, source, progress.note),
          onRefresh() {
            progress.stop();
            process.stderr.write('refreshing the summaries of the imported time …\n');
          },
          log,
          signal,
        });
        progress.stop();
        process.stdout.write(summary(path, source, counts, outcome, flags));
        return conclude(source, counts, outcome, flags, signal.aborted);
      } finally {
        progress.stop();
      }
    });
  } finally {
    await source.input.close();
  }
}

/** Prints the faults of the first bad lines. */
function printer(
  counts: ImportCounts,
  source: Source,
  print: (line: string) => void,
): (fault: BadLine) => void {
  const place = source.format === 'json' ? 'element' : 'line';
  return ({ line, pointer, code, message }) => {
    if (counts.badLines > BAD_LINES_PRINTED) return;
    print(`${place} ${line}: ${[pointer, code].filter(Boolean).join(' ')}: ${message}`);
    if (counts.badLines === BAD_LINES_PRINTED) print('further bad lines are counted and not printed');
  };
}

function summary(
  path: string,
  source: Source,
  counts: ImportCounts,
  outcome: ImportOutcome,
  { backfill }: Flags,
): string {
  const seconds = outcome.importMs / 1_000;
  const figure = (value: number) => value.toLocaleString('en');
  const lines: [string, string][] = [
    ['rows read', figure(counts.rows)],
    [backfill === undefined ? 'stored' : 'staged', figure(counts.stored)],
    ['duplicates', figure(counts.duplicates)],
    ['bad lines', figure(counts.badLines)],
    ...(counts.leftLine === null ? [] : [['left', `the row of line ${counts.leftLine}`] as [string, string]]),
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
  source: Source,
  counts: ImportCounts,
  { stop, refreshCut }: ImportOutcome,
  { maxErrors, lastRow }: Flags,
  interrupted: boolean,
): number {
  const say = (text: string) => process.stderr.write(`${text}\n`);
  const trailing = source.input.trailingBytes();
  if (trailing > 0) {
    say(`warning: ${trailing} bytes behind the end of the compressed data were passed over, as gunzip does`);
  }
  if (counts.knownRows > 0) say(ofKnownRows(source, counts));
  if (refreshCut) say('the service refreshes the summaries when it runs; reads are exact before that too');
  if (stop === null) {
    if (counts.rows > 0 && counts.stored + counts.duplicates === 0) {
      say(`failed: nothing was stored, every one of the ${counts.rows} rows is bad`);
      return FAILED;
    }
    if (counts.badLines > 0)
      say(`done, without the ${counts.badLines} bad lines (--max-errors ${maxErrors})`);
    if (counts.leftLine !== null) {
      say(ofLeftRow(source, counts.leftLine));
      if (lastRow === undefined) return FAILED;
    }
    return !refreshCut ? 0 : interrupted ? INTERRUPTED : FAILED;
  }
  const resume = `resume with --from-line ${stop.resumeLine}`;
  switch (stop.reason) {
    case 'interrupted':
      say(`interrupted; ${resume}`);
      return INTERRUPTED;
    case 'bad-lines':
      say(`stopped: ${counts.badLines} bad lines are more than --max-errors ${maxErrors}; ${resume}`);
      return FAILED;
    case 'failed':
      say(`stopped: ${reasonOf(stop.error)}; ${resume}`);
      return FAILED;
  }
}

function ofKnownRows({ idPrefix }: Source, { knownRows, stored }: ImportCounts): string {
  const rows = knownRows === 1 ? '1 row was' : `${knownRows.toLocaleString('en')} rows were`;
  const all = stored === 0 ? 'nothing is new: ' : '';
  return (
    `${all}${rows} known and not counted again: imported before with the same meaning (id prefix ${idPrefix}); ` +
    'if they are other events, import them with an --id-prefix of your own'
  );
}

function ofLeftRow({ format }: Source, line: number): string {
  const [what, may] =
    format === 'json'
      ? [`the file ends before its JSON does: element ${line}`, 'it is']
      : [`the file ends within the row of line ${line}: that row`, 'the row is'];
  return (
    `NOT IMPORTED: ${what} may still be being written, and was left; ` +
    `read on with --from-line ${line}, or where ${may} whole, with --from-line ${line} --last-row take`
  );
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
