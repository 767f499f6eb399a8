import type { TellFault } from './definitionFault.ts';
import { formatPath, parseSingularPath } from './singularPath.ts';

/** Longest path, in UTF-16 code units. */
export const MAX_PATH = 1_024;

/** Checks a path into an event's document. @returns its normalised form, null where it has told a fault. */
export function checkPath(input: unknown, pointer: string, tell: TellFault): string | null {
  const fault = (code: string, message: string) => {
    tell(pointer, code, message);
    return null;
  };
  if (input === undefined) return fault('required', 'is required');
  if (typeof input !== 'string') return fault('type_invalid', 'must be a JSONPath such as $.size');
  if (input.length > MAX_PATH) return fault('too_long', `may have at most ${MAX_PATH} characters`);
  const parsed = parseSingularPath(input);
  if ('fault' in parsed) {
    return fault('path_invalid', `is no JSONPath (RFC 9535) that selects one value at most: ${parsed.fault}`);
  }
  if (parsed.steps.length === 0) return fault('path_invalid', 'must lead into the document, as $.size does');
  if (input.includes('\0') || parsed.steps.some((step) => typeof step === 'string' && step.includes('\0'))) {
    return fault('path_invalid', 'must not contain NUL: no event does');
  }
  return formatPath(parsed.steps);
}

/** The normalised form of a path that `checkPath` has taken. */
export function normalPath(path: string): string {
  return formatPath(stepsOf(path));
}

/**
 * The steps of a path that `checkPath` has taken.
 *
 * @throws {Error} of any other text.
 */
export function stepsOf(path: string): (string | number)[] {
  const parsed = parseSingularPath(path);
  if ('fault' in parsed) throw new Error(`the path ${path}: ${parsed.fault}`);
  return parsed.steps;
}
