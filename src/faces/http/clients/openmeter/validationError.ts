import { parseSingularPath } from '../../../../sums/meters/definition/singularPath.ts';
import type { MeterVerdict } from '../../../../sums/meters/reading/eventVerdicts.ts';

const NAN = /^[+-]?nan$/i;
const INFINITE = /^[+-]?inf(?:inity)?$/i;

/**
 * What is wrong with an event, as the client knows it: for each meter that matches it and cannot count it, a line.
 * undefined: nothing is.
 *
 * @param data what the event was sent with. One without any is not told from one whose data were null.
 * @param paths of the meters' values, by their slugs.
 */
export function validationError(
  eventType: string,
  data: Readonly<Record<string, unknown>>,
  meters: readonly MeterVerdict[],
  paths: ReadonlyMap<string, string | null>,
): string | undefined {
  if (meters.length === 0) return `no meter found for event type: ${eventType}`;
  const errors = meters.flatMap(({ slug, reason }) => {
    const what = inWords(reason, data, paths.get(slug) ?? '$');
    return what === undefined ? [] : [`invalid event: ${what}`];
  });
  return errors.length === 0 ? undefined : [...new Set(errors)].join('\n');
}

function inWords(
  reason: MeterVerdict['reason'],
  data: Readonly<Record<string, unknown>>,
  path: string,
): string | undefined {
  switch (reason) {
    case 'missing':
      return Object.keys(data).length === 0
        ? 'null and missing value property'
        : `missing value property: "${path}"`;
    case 'null':
      return `null value property: "${path}"`;
    case 'not_a_number': {
      const value = String(valueAt(data, path)).trim();
      if (NAN.test(value)) return 'value cannot be NaN';
      return INFINITE.test(value) ? 'value cannot be infinity' : `value is not a number: "${path}"`;
    }
    case 'not_a_scalar':
      return `value is neither text, number nor boolean: "${path}"`;
    case 'out_of_range':
      return `value is out of range: "${path}"`;
    default:
      return undefined; // a meter that it is not for
  }
}

function valueAt(data: unknown, path: string): unknown {
  const parsed = parseSingularPath(path);
  if ('fault' in parsed) return undefined;
  let value = data;
  for (const step of parsed.steps) {
    if (typeof value !== 'object' || value === null) return undefined;
    value = Array.isArray(value) ? value.at(Number(step)) : (value as Record<string, unknown>)[step];
  }
  return value;
}
