import { parseArgs } from 'node:util';
import { LoadError } from './loadError.ts';
import { readScenario, scenarioNames } from './scenario.ts';

const UNIT_MS: Record<string, number> = { s: 1_000, m: 60_000, h: 3_600_000 };

export interface Options {
  scenario: string;
  /** Of the measured phase, ms. */
  durationMs?: number;
}

export const HELP = `npm run load -- SCENARIO [--duration TIME]

Runs a load scenario against a service that is up, compares what it counts with what it has acknowledged, and writes a
report to artillery/results/. Ends with 0 only if all of that is equal, the rate was reached and the scenario's own
conditions hold. The first run installs Artillery (590 MB) in artillery/.

  --duration TIME   90s, 5m, 1h: length of the measured phase, in place of the scenario's own
  --list            the scenarios
  --help            this text

  TIDEMARK_URL      the service (default: the one at PORT of this machine, 8080 where that is not set)
  TIDEMARK_KEY      key of a tenant with the scopes ingest and read
  ADMIN_KEY         without TIDEMARK_KEY: a tenant is made for the run, and its key revoked in the end
                    without either: the demo key that npm start keeps in DATA_DIR (default .tidemark)`;

/**
 * @returns a text, where only that is asked for.
 * @throws {LoadError} for what cannot be understood.
 */
export function readOptions(args: string[]): Options | string {
  const { values, positionals } = parse(args);
  if (values.list) return list();
  if (values.help) return HELP;
  const [scenario, ...more] = positionals;
  if (scenario === undefined || more.length > 0) {
    throw new LoadError(`name one scenario: ${scenarioNames().join(', ')} (--help says more)`);
  }
  if (values.duration === undefined) return { scenario };
  const match = /^(\d+(?:\.\d+)?)([smh])$/.exec(values.duration);
  const durationMs = match ? Number(match[1]) * UNIT_MS[match[2]!]! : 0;
  if (durationMs < 1_000) throw new LoadError('--duration: write it as 90s, 5m or 1h, at least 1s');
  return { scenario, durationMs };
}

function parse(args: string[]) {
  try {
    return parseArgs({
      args,
      allowPositionals: true,
      options: {
        duration: { type: 'string' },
        list: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    });
  } catch (error) {
    throw new LoadError((error as Error).message);
  }
}

function list(): string {
  return scenarioNames()
    .map((name) => `${name}\n    ${readScenario(name).about}`)
    .join('\n');
}
