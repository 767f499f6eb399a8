import type { Engine } from './servers.ts';

/*
 * What the command lines of the benchmarks have in common. What makes no sense is an Error, whose message `orUsage` prints
 * above the usage.
 */

const ENGINES: readonly Engine[] = ['postgres', 'timescale'];

/** What `read` makes of a command line. Ends the process, with the usage, when it throws; without a message: when asked for help. */
export function orUsage<Options>(usage: string, read: () => Options): Options {
  try {
    return read();
  } catch (error) {
    const { message } = error as Error;
    console.error(message ? `${message}\n\n${usage}` : usage);
    process.exit(message ? 2 : 0);
  }
}

/** The engines of `postgres`, `timescale` or `both`. */
export function enginesOf(text: string): Engine[] {
  return listOf(text === 'both' ? ENGINES.join(',') : text, ENGINES);
}

/** Items separated by commas, each one of those known. */
export function listOf<Item extends string>(text: string, known: readonly Item[]): Item[] {
  const items = text.split(',');
  const unknown = items.find((item) => !known.includes(item as Item));
  if (unknown !== undefined) throw new Error(`'${unknown}' is none of ${known.join(', ')}`);
  return items as Item[];
}

/** A number, `least` or more. */
export function atLeast(text: string, least: number): number {
  const number = Number(text);
  if (!(number >= least)) throw new Error(`not a number of at least ${least}: ${text}`);
  return number;
}

/** A multiple of a whole number, `least` or more and `most` or less. */
export function whole(
  text: string,
  least = 1,
  { most = Number.MAX_SAFE_INTEGER, multipleOf = 1 } = {},
): number {
  const number = atLeast(text, least);
  if (number > most) throw new Error(`more than ${most}: ${text}`);
  if (number % multipleOf !== 0) {
    throw new Error(
      multipleOf === 1 ? `not a whole number: ${text}` : `not a multiple of ${multipleOf}: ${text}`,
    );
  }
  return number;
}

/** How long is measured, and how long the same load comes before it that is not counted, in ms. */
export function lengthsOf(seconds: number): { durationMs: number; warmupMs: number } {
  return { durationMs: seconds * 1_000, warmupMs: Math.min(3_000, seconds * 500) };
}
