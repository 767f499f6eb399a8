import { setTimeout as sleep } from 'node:timers/promises';
import { Command, InvalidArgumentError } from 'commander';
import { loadClientConfig } from '../../../ground/config/loadConfig.ts';
import { loadKeyring } from '../../../ground/local/keyring.ts';
import { StartupError } from '../../../model/errors.ts';
import { Refused } from '../../seeds/client.ts';
import { postDemoTraffic } from '../../seeds/demoTraffic.ts';
import { readSeeds } from '../../seeds/readSeeds.ts';
import { duration } from '../arguments.ts';
import { EXIT_CODES, FAILED } from '../exitCodes.ts';
import { interruption, runCommand } from '../runCommand.ts';
import { type Progress, showProgress } from '../showProgress.ts';

/** How long a service that is just starting is waited for, in ms. */
const WAIT_MS = 10_000;
const RETRY_MS = 250;
/** Each sends for itself, and is made before any of them does. */
const MAX_TENANTS = 1_000;
const LOCAL_HOSTS = ['localhost', '127.0.0.1', '[::1]'];

const HELP = `
Makes the tenants with their alert rules, names their customers, and makes keys that it revokes at its end; then compares what was acknowledged with what the service says.
Ctrl-C ends it early, and what was sent until then is compared.

The tenants, their customers and rules, and how their traffic goes, are data: seeds/README.md. --seeds names a folder of
your own. All of it is checked before anything is sent. What is there already stays as it is.

The service is --url, else TIDEMARK_URL, else the one at PORT of this machine. The key is --admin-key, else ADMIN_KEY,
which others on the machine cannot read, else that of the local installation in DATA_DIR.

${EXIT_CODES}`;

interface Flags {
  url?: string;
  adminKey?: string;
  duration: number;
  minutes?: number;
  rate: number;
  tenants: number;
  backfill: number;
  seed: number;
  seeds?: string;
}

export function seedCommand(): Command {
  return new Command('seed')
    .summary('post demo traffic to a service')
    .description(
      'Posts plausible traffic of several tenants over HTTP: a curve over the day, bursts, late events, requests that ' +
        'are sent twice, several models and endpoints, clicks and impressions.',
    )
    .option('--url <url>', 'the service (default: TIDEMARK_URL, else the local one)', serviceUrl)
    .option('--admin-key <key>', 'a platform key (default: ADMIN_KEY, else that of the local installation)')
    .option('--duration <time>', 'how long to send live traffic: 90s, 10m, 2h; 0s for none', duration, 60_000)
    .option('--minutes <n>', 'the same in minutes', positive)
    .option('--rate <n>', 'events per second of all tenants together, as a mean over the day', positive, 20)
    .option('--tenants <n>', `how many tenants, up to ${MAX_TENANTS}`, tenantCount, 3)
    .option('--backfill <time>', 'first post this much history, as fast as it is accepted', duration, 0)
    .option('--seed <n>', 'the same seed gives the same traffic for the same time', wholeNumber, 1)
    .option('--seeds <folder>', 'what to load and post (default: what comes with the program)')
    .addHelpText('after', HELP)
    .action((flags: Flags) => runCommand(() => seed(flags)));
}

async function seed(flags: Flags): Promise<number> {
  const config = loadClientConfig();
  const seeds = await readSeeds(flags.seeds);
  const url = flags.url ?? config.url;
  const adminKey = flags.adminKey ?? config.adminKey ?? (await localKey(url, config.dataDir));
  const signal = interruption();
  let progress: Progress = { note: (line) => process.stderr.write(`${line}\n`), stop: () => undefined };
  try {
    await waitForService(url, signal);
    const outcome = await postDemoTraffic({
      url,
      adminKey,
      durationMs: flags.minutes === undefined ? flags.duration : flags.minutes * 60_000,
      rate: flags.rate,
      tenants: flags.tenants,
      seeds,
      backfillMs: flags.backfill,
      seed: flags.seed,
      signal,
      say: (line) => progress.note(line),
      onStart(line) {
        progress = showProgress(line, true);
      },
    });
    progress.stop();
    process.stdout.write(outcome.table);
    process.stdout.write(
      outcome.wrong === 0
        ? 'everything acknowledged is counted, once\n'
        : `${outcome.wrong} tenants do not add up\n`,
    );
    return outcome.wrong === 0 ? 0 : FAILED;
  } catch (error) {
    throw error instanceof Refused || isUnreachable(error)
      ? new StartupError(`${url}: ${(error as Error).message}`, { cause: error })
      : error;
  } finally {
    progress.stop();
  }
}

/** @throws {StartupError} when nothing answers there. */
async function waitForService(url: string, signal: AbortSignal): Promise<void> {
  const deadline = Date.now() + WAIT_MS;
  for (;;) {
    const answer = await fetch(new URL('/healthz', url), {
      signal: AbortSignal.any([signal, AbortSignal.timeout(WAIT_MS)]),
    }).catch(() => null);
    if (answer?.ok) return;
    if (signal.aborted || Date.now() > deadline) {
      const what = answer ? `/healthz answers with ${answer.status}` : 'no service answers there';
      throw new StartupError(`${url}: ${what}`);
    }
    await sleep(RETRY_MS);
  }
}

/** `fetch` says no more than that it failed; why is in the cause. */
function isUnreachable(error: unknown): boolean {
  return (error instanceof TypeError && error.message === 'fetch failed') || error instanceof DOMException;
}

/** A key of the local installation is not handed to another machine. */
async function localKey(url: string, dataDir: string): Promise<string> {
  if (!LOCAL_HOSTS.includes(new URL(url).hostname)) {
    throw new StartupError('name a platform key of that service: ADMIN_KEY, or --admin-key');
  }
  return (await loadKeyring(dataDir)).adminKey;
}

function serviceUrl(text: string): string {
  if (!/^https?:\/\//.test(text) || !URL.canParse(text)) {
    throw new InvalidArgumentError('write it as http://host:port');
  }
  return text;
}

function positive(text: string): number {
  if (!/^\d+(\.\d+)?$/.test(text) || Number(text) <= 0)
    throw new InvalidArgumentError('a number above 0 is needed');
  return Number(text);
}

function tenantCount(text: string): number {
  const tenants = wholeNumber(text);
  if (tenants > MAX_TENANTS) throw new InvalidArgumentError(`at most ${MAX_TENANTS} are made`);
  return tenants;
}

function wholeNumber(text: string): number {
  if (!/^\d{1,9}$/.test(text) || Number(text) === 0)
    throw new InvalidArgumentError('a whole number above 0 is needed');
  return Number(text);
}
