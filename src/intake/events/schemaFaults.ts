import type { z } from 'zod';
import type { EventFault } from '../../model/errors.ts';
import { issueMessage } from '../../model/issueMessage.ts';

/** Faults listed per event; more say nothing new. */
export const MAX_FAULTS_PER_EVENT = 10;

type Issue = z.ZodError['issues'][number];

/**
 * What a schema finds wrong with one input, as faults.
 *
 * @param unknownField what to say of a field that is none.
 * @param base pointer to the input.
 */
export function schemaFaults(
  error: z.ZodError,
  input: unknown,
  index: number,
  unknownField: string,
  base = '',
): EventFault[] {
  return error.issues
    .flatMap((issue) => describe(issue, input, index, unknownField, base))
    .slice(0, MAX_FAULTS_PER_EVENT);
}

/** A zod issue as faults: one for each unknown field, otherwise one. */
function describe(
  issue: Issue,
  input: unknown,
  index: number,
  unknownField: string,
  base: string,
): EventFault[] {
  const pointer = base + pointerTo(issue.path);
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.slice(0, MAX_FAULTS_PER_EVENT).map((key) => ({
      index,
      pointer: pointer + pointerTo([key]),
      code: 'unknown_field',
      message: unknownField,
    }));
  }
  if (valueAt(input, issue.path) === undefined) {
    const message = issue.code === 'invalid_type' ? issueMessage(issue) : 'is required';
    return [{ index, pointer, code: 'required', message }];
  }
  return [{ index, pointer, code: codeOf(issue), message: issueMessage(issue) }];
}

function valueAt(input: unknown, path: PropertyKey[]): unknown {
  let value = input;
  for (const part of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, part)) return undefined;
    value = (value as Record<PropertyKey, unknown>)[part];
  }
  return value;
}

function codeOf(issue: Issue): string {
  switch (issue.code) {
    case 'too_small':
      return issue.origin === 'string' ? 'too_short' : 'out_of_range';
    case 'too_big':
      return issue.origin === 'string' ? 'too_long' : 'out_of_range';
    case 'invalid_value':
      return 'not_allowed';
    default:
      return 'type_invalid';
  }
}

/** RFC 6901 §3. */
export function pointerTo(path: PropertyKey[]): string {
  return path.map((part) => `/${String(part).replaceAll('~', '~0').replaceAll('/', '~1')}`).join('');
}
