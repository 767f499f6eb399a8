import { Command, Option } from 'commander';
import { COMMAND } from '../../../access/tenancy/auditLog.ts';
import { loadConfig } from '../../../ground/config/loadConfig.ts';
import type { EventCorrectionKind } from '../../../intake/corrections/correction.ts';
import { StartupError, UsageError } from '../../../model/errors.ts';
import { reason as Reason } from '../../http/correctionSchemas.ts';
import {
  type Corrected,
  correctInBatches,
  type Outcome,
  type WantedCorrection,
} from '../corrections/correctInBatches.ts';
import { readNamed } from '../corrections/readNamed.ts';
import { FORMATS, type Format } from '../corrections/readValues.ts';
import { readVersions } from '../corrections/readVersions.ts';
import { withCorrections } from '../corrections/withCorrections.ts';
import { EXIT_CODES, FAILED, INTERRUPTED } from '../exitCodes.ts';
import { interruption, runCommand } from '../runCommand.ts';
import { showProgress } from '../showProgress.ts';
import { table } from '../table.ts';

/** As many as a request names at most, where it is allowed so many. */
const MOST_IN_BATCH = 10_000;

const BATCHES = `
Each batch of up to 10,000 events (fewer where MAX_EVENTS_PER_REQUEST is less) is one transaction, done wholly or not at all;
more than that are several, one after the other. Where one of a batch is refused, nothing of it is changed, and no batch
behind it is begun; with --skip those that are refused are left out. The file is read as a whole before anything is done.

A line for each event says what became of it; the exit code is ${FAILED} unless that is "done" for all of them. With --dry-run it
says what would, and nothing is changed.

Works on the database (DATABASE_URL, else the local one in DATA_DIR), whether the service runs or not; REDIS_URL has to be
that of the service, where it has one. The audit log has each transaction, as made by a command. docs/corrections.md says
what a correction does.

${EXIT_CODES}`;

const IDS = `
An id is the client's own; of a CloudEvent, source and id with a space between them, as it is listed. A file has one a line;
or JSON or NDJSON, of ids or of objects with eventId, and timestamp where that is known, as "tidemark export events" writes
them: an event is found faster by its time, and also past the identity horizon.
`;

interface Flags {
  tenant: string;
  reason: string;
  dryRun?: true;
  skip?: true;
  json?: true;
}

type NamedFlags = Flags & { file?: string; format?: Format };

export function voidCommand(): Command {
  return named(
    'void',
    'have events count no more',
    'Takes events out of every sum. They stay, void.',
  ).addHelpText(
    'after',
    `\nExample:\n  npx tidemark void order-17/line-2b --tenant demo --reason 'ticket 4711: sent twice'`,
  );
}

export function restoreCommand(): Command {
  return named('restore', 'have void events count again', 'Has void events count again, as they were.');
}

function named(kind: 'void' | 'restore', summary: string, description: string): Command {
  return withFlags(
    new Command(kind)
      .usage('[ID…] [--file FILE] --tenant ID --reason TEXT [options]')
      .summary(summary)
      .description(description)
      .argument('[id...]', 'of events')
      .option('--file <file>', 'of ids; - is standard input')
      .addOption(
        new Option('--format <format>', 'of the file; default: json where it begins with [ or {').choices(
          FORMATS,
        ),
      ),
  )
    .addHelpText('after', IDS + BATCHES)
    .action((ids: string[], flags: NamedFlags) => runCommand(() => correctNamed(kind, ids, flags)));
}

export function amendCommand(): Command {
  return withFlags(
    new Command('amend')
      .usage('FILE --tenant ID --reason TEXT [options]')
      .summary('have other versions of events count')
      .description('Has other versions of events count in the place of those with their ids.')
      .argument('<file>', 'whole native events, as JSON or NDJSON; - is standard input'),
  )
    .addHelpText(
      'after',
      `\nEach event is checked as if it were posted now: where one cannot be like this, nothing is done.\n${BATCHES}`,
    )
    .action((file: string, flags: Flags) => runCommand(() => amend(file, flags)));
}

function withFlags(command: Command): Command {
  return command
    .requiredOption('--tenant <id>', 'whose')
    .requiredOption('--reason <text>', 'why: it stands in the audit log and in the history')
    .option('--dry-run', 'tell what would become of each, and change nothing')
    .option('--skip', 'leave out what is refused, such as a void of what is void')
    .option('--json', 'print a JSON object');
}

async function correctNamed(kind: 'void' | 'restore', ids: string[], flags: NamedFlags): Promise<number> {
  const { events, repeated } = await readNamed(ids, flags.file, flags.format);
  if (repeated > 0) process.stderr.write(`named more than once, and taken once: ${repeated}\n`);
  return correct(kind, events, flags);
}

async function amend(file: string, flags: Flags): Promise<number> {
  return correct('amend', await readVersions(file, flags.tenant, loadConfig()), flags);
}

async function correct(
  kind: EventCorrectionKind,
  wanted: WantedCorrection[],
  { tenant, reason, ...flags }: Flags,
): Promise<number> {
  const fault = Reason.safeParse(reason).error?.issues[0];
  if (fault) throw new UsageError(`--reason: ${fault.message}`);
  const { dryRun = false, skip = false, json = false }: Partial<Record<string, boolean>> = flags;
  const signal = interruption();
  let past = 0;
  const progress = showProgress(() => (past === 0 ? '' : `${past} of ${wanted.length}`), true);
  const result = await withCorrections(tenant, (corrections, context) =>
    correctInBatches(wanted, {
      correct: (request) => corrections.correct(request),
      request: { kind, context, actor: COMMAND, reason, dryRun },
      most: Math.min(MOST_IN_BATCH, loadConfig().ingest.maxEventsPerRequest),
      skip,
      signal,
      onProgress(events) {
        past = events;
      },
    }),
  ).finally(() => progress.stop());
  process.stdout.write(json ? jsonOf(wanted, result, dryRun) : tableOf(wanted, result));
  process.stderr.write(summaryOf(result, dryRun));
  if (result.failure) throw new StartupError(result.failure.message, { cause: result.failure });
  if (signal.aborted && result.outcomes.some(({ outcome }) => outcome === 'untouched')) return INTERRUPTED;
  return result.outcomes.every(({ outcome }) => outcome === 'done') ? 0 : FAILED;
}

function tableOf(wanted: WantedCorrection[], { outcomes }: Corrected): string {
  const rows = outcomes.map((of, i) => [wanted[i]!.clientId, of.outcome, whyOf(of)]);
  return table([['event', 'outcome', ''], ...rows]);
}

function whyOf(of: Outcome): string {
  return of.outcome === 'refused' ? `${of.code}: ${of.message}` : '';
}

function jsonOf(wanted: WantedCorrection[], { outcomes, corrections }: Corrected, dryRun: boolean): string {
  const done = corrections
    .filter(({ id }) => id !== null)
    .map(({ id, at, corrected, windows }) => ({ correctionId: id, at, events: corrected, windows }));
  const events = outcomes.map((outcome, i) => ({ eventId: wanted[i]!.clientId, ...outcome }));
  return `${JSON.stringify({ dryRun, corrections: done, events })}\n`;
}

/** How many are what, and in how many transactions. */
function summaryOf({ outcomes, corrections }: Corrected, dryRun: boolean): string {
  const counts = (['done', 'unknown', 'refused', 'untouched'] as const).map(
    (kind) => `${kind} ${outcomes.filter(({ outcome }) => outcome === kind).length}`,
  );
  const windows = corrections.reduce((sum, correction) => sum + correction.windows, 0);
  const how = dryRun
    ? 'a dry run: nothing was changed'
    : `transactions ${corrections.length}, windows changed ${windows}`;
  return `events: ${counts.join(', ')}; ${how}\n`;
}
