import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import { build } from 'esbuild';
import type { Access } from './access.ts';
import type { Scenario } from './scenario.ts';

const HERE = import.meta.dirname;

export interface Percentiles {
  p50: number;
  p95: number;
  p99: number;
  max: number;
}

/** What is used of Artillery's own report. */
export interface ArtilleryReport {
  counters: Record<string, number | undefined>;
  summaries: Record<string, Percentiles | undefined>;
}

export interface Ran {
  /** Artillery's exit code: other than 0 when a condition does not hold. */
  code: number | null;
  /** Null when it ended without one. */
  aggregate: ArtilleryReport | null;
  /** The same every 10 s. */
  intermediate: ArtilleryReport[];
  /** Part of the machine's processor time that was used meanwhile, by whomever. */
  machineBusy: number;
}

/** Runs a scenario to its end. @param journal folder for what it sends and is answered. */
export async function runArtillery(
  scenario: Scenario,
  access: Access,
  run: string,
  journal: string,
  report: string,
): Promise<Ran> {
  await compileProcessor();
  const overrides = JSON.stringify({ config: { phases: scenario.phases } });
  const args = ['--config', 'common.yml', '--overrides', overrides, '--output', report, scenario.file];
  const before = machineTime();
  const artillery = spawn(process.execPath, ['node_modules/artillery/bin/run', 'run', '--quiet', ...args], {
    cwd: HERE,
    stdio: 'inherit',
    env: {
      ...process.env,
      TIDEMARK_URL: access.url,
      TIDEMARK_KEY: access.key,
      TIDEMARK_RUN: run,
      TIDEMARK_JOURNAL: journal,
      ARTILLERY_DISABLE_TELEMETRY: 'true',
    },
  });
  const stop = () => artillery.kill('SIGTERM'); // Ctrl-C reaches it by itself
  process.once('SIGTERM', stop);
  const [code] = (await once(artillery, 'exit')) as [number | null];
  process.off('SIGTERM', stop);
  const after = machineTime();
  const text = await readFile(report, 'utf8').catch(() => '{}');
  const { aggregate = null, intermediate = [] } = JSON.parse(text) as Partial<Ran>;
  const machineBusy = (after.busy - before.busy) / (after.all - before.all);
  return { code, aggregate, intermediate, machineBusy };
}

/** Artillery could do this itself, with an esbuild in WebAssembly that takes seconds, and that sometimes crashes. */
async function compileProcessor(): Promise<void> {
  await build({
    absWorkingDir: HERE,
    entryPoints: ['processor.ts'],
    outfile: 'dist/processor.cjs',
    bundle: true,
    platform: 'node',
    format: 'cjs',
    target: 'node20',
    logLevel: 'error',
  });
}

/** Of all processors, ms since the machine began. */
function machineTime(): { busy: number; all: number } {
  const time = { busy: 0, all: 0 };
  for (const { times } of cpus()) {
    const all = Object.values(times).reduce((sum, ms) => sum + ms, 0);
    time.all += all;
    time.busy += all - times.idle;
  }
  return time;
}
