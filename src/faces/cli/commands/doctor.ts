import { Command } from 'commander';
import { type Config, loadConfig } from '../../../ground/config/loadConfig.ts';
import { findLocalDatabase } from '../../../ground/local/localDatabase.ts';
import { StartupError } from '../../../model/errors.ts';
import { examine } from '../../doctor/examine.ts';
import { type Finding, fail, type Status } from '../../doctor/finding.ts';
import { duration } from '../arguments.ts';
import { EXIT_CODES, FAILED } from '../exitCodes.ts';
import { runCommand, silentLogger } from '../runCommand.ts';

const TIMEOUT_MS = 5_000;

const HELP = `
Looks at the configuration; at the database: version, engine, licence, schema, roles, settings that keep data safe, room
for connections, clock, policies, closing, late windows, activity, outbox, dead letters; at Redis: version, memory policy,
persistence, clock, queues. Every line is ok, warn or fail, and says what to do. Changes nothing; prints no secrets.

The exit code is 1 when anything fails; warnings leave it at 0.

${EXIT_CODES}`;

export function doctorCommand(): Command {
  return new Command('doctor')
    .summary('look for what is wrong with an installation')
    .description(
      'Looks at everything the service depends on, and says what is wrong and what to do about it.',
    )
    .option('--json', 'print a JSON object')
    .option('--timeout <time>', 'how long each thing that is asked may take', duration, TIMEOUT_MS)
    .addHelpText('after', HELP)
    .action((flags) => runCommand(() => doctor(flags)));
}

async function doctor({ json, timeout }: { json?: true; timeout: number }): Promise<number> {
  const findings = await findingsOf(timeout);
  const worst = worstOf(findings);
  if (json) process.stdout.write(`${JSON.stringify({ status: worst, findings }, null, 2)}\n`);
  else process.stdout.write(`${findings.map(lineOf).join('')}\n${sum(findings)}\n`);
  return worst === 'fail' ? FAILED : 0;
}

async function findingsOf(timeoutMs: number): Promise<Finding[]> {
  let config: Config;
  let url: string | undefined;
  try {
    config = loadConfig();
    url = config.database.url ?? (await findLocalDatabase(config.dataDir));
  } catch (error) {
    if (!(error instanceof StartupError)) throw error;
    return [{ check: 'configuration', ...fail(error.message, 'see the table of variables in README.md') }];
  }
  return examine(config, url, timeoutMs, silentLogger());
}

const RANK: Record<Status, number> = { ok: 0, warn: 1, fail: 2 };

function worstOf(findings: Finding[]): Status {
  return findings.reduce<Status>((worst, { status }) => (RANK[status] > RANK[worst] ? status : worst), 'ok');
}

function lineOf({ check, status, message, advice }: Finding): string {
  const line = `${status.padEnd(4)}  ${check.padEnd(13)}  ${message}\n`;
  return advice === undefined ? line : `${line}${' '.repeat(21)}→ ${advice}\n`;
}

function sum(findings: Finding[]): string {
  const count = (wanted: Status) => findings.filter(({ status }) => status === wanted).length;
  return `${count('ok')} ok, ${count('warn')} warn, ${count('fail')} fail`;
}
