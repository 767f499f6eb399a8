import { spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { Client, Refused } from '../src/faces/seeds/client.ts';
import { openAccess } from './access.ts';
import { LoadError } from './loadError.ts';
import { type Options, readOptions } from './options.ts';
import { readRun } from './readRun.ts';
import { formatReport, makeReport } from './report.ts';
import { readScenario } from './scenario.ts';
import { watchMemory } from './serviceMemory.ts';
import { untilClosed, verify } from './verify.ts';

const ROOT = join(import.meta.dirname, '..');
const RESULTS = join(import.meta.dirname, 'results');

async function main(): Promise<number> {
  const options = readOptions(process.argv.slice(2));
  if (typeof options !== 'string') return load(options);
  console.log(options);
  return 0;
}

/**
 * Runs a scenario for customers of its own, and compares what was acknowledged with what the service counts of them.
 *
 * @returns the exit code.
 * @throws {LoadError} when it cannot begin.
 */
async function load({ scenario: name, durationMs }: Options): Promise<number> {
  const scenario = readScenario(name, durationMs);
  const started = new Date();
  const stamp = started.toISOString().replaceAll(/\D/g, '');
  const run = `load-${name.toLowerCase()}-${stamp}`;
  const interruption = noteInterruption();
  const access = await openAccess(process.env, ROOT, run);
  const journal = await mkdtemp(join(tmpdir(), 'tidemark-load-'));
  try {
    install();
    const { runArtillery } = await import('./runArtillery.ts'); // it needs what has been installed just now
    console.log(`${name} at ${access.url}, key: ${access.source}`);
    await mkdir(RESULTS, { recursive: true });
    const file = join(RESULTS, `${name}-${stamp}`);
    const memory = watchMemory(access.url);
    const ran = await runArtillery(scenario, access, run, journal, `${file}.artillery.json`);
    const watched = await memory();
    const findings = await readRun(journal);
    const client = new Client(access.url, access.key);
    const some = findings.ledger.customers.size > 0;
    const atOnce = some ? await verify(client, findings.ledger) : null;
    console.log('compared at once; once more when the windows have closed');
    const closed =
      atOnce && (await untilClosed(client, findings.ledger)) ? await verify(client, findings.ledger) : null;
    const report = makeReport({
      scenario,
      name: run,
      started,
      ran,
      run: findings,
      memory: watched,
      atOnce,
      closed,
      interrupted: interruption.noted,
    });
    await writeFile(`${file}.json`, `${JSON.stringify(report, null, 2)}\n`);
    console.log(`\n${formatReport(report)}\nreport: ${relative(process.cwd(), `${file}.json`)}`);
    return report.verdict === 'passed' ? 0 : 1;
  } finally {
    await rm(journal, { recursive: true, force: true });
    await access.close();
  }
}

/** @throws {LoadError} when Artillery cannot be installed. */
function install(): void {
  const { status } = spawnSync(process.execPath, [join(import.meta.dirname, 'install.mjs')], {
    stdio: 'inherit',
  });
  if (status !== 0) throw new LoadError('Artillery is needed for this');
}

/** Ctrl-C ends Artillery, which is told as well; what was sent until then is still compared. A second one ends all. */
function noteInterruption(): { noted: boolean } {
  const interruption = { noted: false };
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      interruption.noted = true;
    });
  }
  return interruption;
}

process.exitCode = await main().catch((error: Error) => {
  const known = error instanceof LoadError || error instanceof Refused;
  console.error(`load: ${known ? error.message : error.stack}`);
  return 1;
});
