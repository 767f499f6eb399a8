import type { z } from 'zod';
import { JsonNumber } from '../../model/json.ts';
import { MAX_TOKENS } from './nativeEvent.ts';

const COUNTS = ['tokens', 'inputTokens', 'outputTokens'] as const;

/**
 * An object in which the JsonNumbers of some members have become texts: where a decimal text means the same, no digit
 * is lost. Itself where there are none.
 */
export function asTexts<Input extends object>(input: Input, names: readonly (keyof Input & string)[]): Input {
  return replaced(input, names, (number) => number.toString());
}

/**
 * The same for the members that have a column of numbers: a latency is a double, and a count that is too large for one
 * is too large for the schema, which says so. One that is not whole stays what it is, and is refused as that.
 */
export function asMeasures<Input extends object>(input: Input): Input {
  const latency = replaced(input, ['latencyMs'] as never[], Number);
  return replaced(latency, COUNTS as never, (count) => {
    const nearest = Number(count);
    return nearest < 0 || nearest > MAX_TOKENS ? nearest : count;
  });
}

function replaced<Input extends object>(
  input: Input,
  names: readonly (keyof Input & string)[],
  replace: (number: JsonNumber) => unknown,
): Input {
  let copy: Record<string, unknown> | undefined;
  for (const name of names) {
    const value: unknown = Object.hasOwn(input, name) ? input[name] : undefined;
    if (!(value instanceof JsonNumber)) continue;
    copy ??= Object.defineProperties(Object.create(null), Object.getOwnPropertyDescriptors(input)) as Record<
      string,
      unknown
    >;
    copy[name] = replace(value);
  }
  return (copy as Input | undefined) ?? input;
}

/** What an input is like once its numbers are such as the schema expects; the faults of what it came as, where it is not. */
export function checkNumbers<Input>(
  schema: z.ZodType,
  input: Input,
  settle: (input: Input & object) => Input,
): { input: Input; error?: z.ZodError } {
  const parsed = schema.safeParse(input);
  if (parsed.success) return { input };
  if (typeof input !== 'object' || input === null) return { input, error: parsed.error };
  const settled = settle(input);
  if (settled === input) return { input, error: parsed.error };
  const again = schema.safeParse(settled);
  return again.success ? { input: settled } : { input: settled, error: again.error };
}
