import { Command, InvalidArgumentError } from 'commander';
import { type Comparison, compareWindows } from '../../../intake/verifying/compareWindows.ts';
import { exportedEvents } from '../../../intake/verifying/exportedEvents.ts';
import { toldWindows } from '../../../intake/verifying/toldWindows.ts';
import { type WindowOfEvents, windowsOfEvents } from '../../../intake/verifying/windowsOfEvents.ts';
import { csvLine } from '../../../outbound/exporting/csvLine.ts';
import { writeOutput } from '../../../outbound/exporting/writeOutput.ts';
import { EXIT_CODES, FAILED, INTERRUPTED } from '../exitCodes.ts';
import { interruption, runCommand } from '../runCommand.ts';

const HELP = `
Needs no service and no database. FILE is what "tidemark export events" has written, NDJSON or CSV, compressed or not; -
is standard input. It has to have every event of its windows: whole windows of 30 seconds (any whole minute begins one),
not filtered by type or reference; --customer may be given. docs/proof.md says what the digest is made of.

Without --windows and --expect it prints a line of CSV for each customer and window: count, sums and digest.

--windows compares them with answers of GET /v1/windows?digest=true, over the same time and customers: one page, or
several, one to a line; or messages that were received. --expect asks for digests that some window must have. A line for
each difference, and exit code 1 where there is one, or where nothing could be compared.

${EXIT_CODES}`;

interface Flags {
  windows?: string;
  expect: string[];
}

export function verifyCommand(): Command {
  return new Command('verify')
    .usage('FILE [options]')
    .summary('check windows against exported events')
    .description('Makes the digests of windows from exported events, and compares them with what was told.')
    .argument('<file>', 'exported events')
    .option('--windows <file>', 'answers of GET /v1/windows?digest=true to compare with')
    .option('--expect <hex>', 'a digest that is to be among them; may be given several times', digests, [])
    .addHelpText('after', HELP)
    .addHelpText(
      'after',
      '\nExample:\n  npx tidemark verify november.ndjson.gz --windows november-windows.json',
    )
    .action((file: string, flags: Flags) => runCommand(() => verify(file, flags)));
}

function digests(text: string, previous: string[]): string[] {
  const digest = text.toLowerCase();
  if (!/^[0-9a-f]{64}$/.test(digest)) throw new InvalidArgumentError('64 hexadecimal digits are needed');
  return [...previous, digest];
}

async function verify(file: string, flags: Flags): Promise<number> {
  const signal = interruption();
  const result = { code: 0 };
  const plain = flags.windows === undefined && flags.expect.length === 0;
  try {
    await writeOutput(undefined, plain ? listed(file) : checked(file, flags, result), signal);
  } catch (error) {
    if (!signal.aborted) throw error;
    return INTERRUPTED;
  }
  return result.code;
}

/** Every window of the file. */
async function* listed(file: string): AsyncGenerator<string> {
  const header = ['windowStart', 'tenantId', 'customerId', 'events', 'tokens', 'inputTokens', 'outputTokens'];
  let above = csvLine([...header, 'value', 'sha256']); // once the file has been found to be one
  for await (const { windowStart, tenantId, customerId, digest } of windowsOfEvents(exportedEvents(file))) {
    const { events, tokens, inputTokens, outputTokens, value, sha256 } = digest;
    const sums = [events, tokens, inputTokens, outputTokens, value];
    yield above + csvLine([windowStart, tenantId, customerId, ...sums, sha256]);
    above = '';
  }
  yield above;
}

/** What differs, and how many do. */
async function* checked(
  file: string,
  { windows, expect }: Flags,
  result: { code: number },
): AsyncGenerator<string> {
  const missing = new Set(expect);
  const made = seen(windowsOfEvents(exportedEvents(file)), ({ digest }) => missing.delete(digest.sha256));
  if (windows !== undefined) {
    const comparison: Comparison = { agree: 0, differ: 0, untold: new Map() };
    yield* compareWindows(await toldWindows(windows), made, comparison);
    yield summary(comparison);
    if (comparison.differ > 0 || comparison.agree === 0) result.code = FAILED;
  } else for await (const _ of made); // so that all are seen
  for (const sha256 of missing) yield `no window has the digest ${sha256}\n`;
  if (missing.size > 0) result.code = FAILED;
  else if (expect.length > 0) yield `expected digests that are there: ${new Set(expect).size}\n`;
}

async function* seen(
  windows: AsyncIterable<WindowOfEvents>,
  see: (window: WindowOfEvents) => void,
): AsyncGenerator<WindowOfEvents> {
  for await (const window of windows) {
    see(window);
    yield window;
  }
}

function summary({ agree, differ, untold }: Comparison): string {
  const reasons = [...untold].map(([reason, count]) => `${count} ${reason}`);
  const rest = reasons.length > 0 ? `, without a digest: ${reasons.join(', ')}` : '';
  return `windows that agree: ${agree}, that differ: ${differ}${rest}\n`;
}
