import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { LoadError } from './loadError.ts';

const FOLDER = join(import.meta.dirname, 'scenarios');
/** Of a scenario's phases the one that its rate is measured in. */
const MEASURED = 'measured';

interface Phase {
  name?: string;
  duration: number;
  [setting: string]: unknown;
}

export interface Scenario {
  name: string;
  file: string;
  /** The comment that its file begins with. */
  about: string;
  phases: Phase[];
  /** Length of the phase that its rate is measured in. */
  measuredSeconds: number;
  /** New events that are to be posted meanwhile; undefined where it is not about a rate. */
  eventsPerSecond: number | undefined;
}

export function scenarioNames(): string[] {
  return readdirSync(FOLDER)
    .filter((file) => file.endsWith('.yml'))
    .map((file) => file.slice(0, -'.yml'.length));
}

/**
 * @param durationMs of its measured phase, in place of its own.
 * @throws {LoadError} when there is none of that name.
 */
export function readScenario(name: string, durationMs?: number): Scenario {
  if (!scenarioNames().includes(name)) {
    throw new LoadError(`there is no scenario ${name}: it is one of ${scenarioNames().join(', ')}`);
  }
  const file = join(FOLDER, `${name}.yml`);
  const text = readFileSync(file, 'utf8');
  const { config } = parse(text) as {
    config: { phases: Phase[]; variables: { eventsPerSecond?: number } };
  };
  const at = config.phases.findIndex((phase) => phase.name === MEASURED);
  const phases = config.phases.map((phase, i) =>
    i === at && durationMs !== undefined ? { ...phase, duration: Math.ceil(durationMs / 1_000) } : phase,
  );
  return {
    name,
    file,
    about: aboutOf(text),
    phases,
    measuredSeconds: phases[at]!.duration,
    eventsPerSecond: config.variables.eventsPerSecond,
  };
}

function aboutOf(text: string): string {
  const lines = text.split('\n');
  return lines
    .slice(
      0,
      lines.findIndex((line) => !line.startsWith('#')),
    )
    .map((line) => line.slice(1).trim())
    .join(' ');
}
