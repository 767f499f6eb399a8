import { TidemarkError } from '../../../model/errors.ts';
import { isStorableText } from '../../../model/text.ts';
import { formatTimestamp } from '../../../model/timestamp.ts';
import {
  checkMeterDefinition,
  type DefinitionFault,
  type MeterDefinition,
} from '../definition/meterDefinition.ts';

/** A meter that is to be made, checked. */
export interface NewMeter {
  slug: string;
  name: string;
  description: string | null;
  definition: MeterDefinition;
}

/** Lower-case words of letters and digits, joined by single underscores. */
export const SLUG = /^[a-z0-9]+(?:_[a-z0-9]+)*$/;
export const MAX_SLUG = 64;
export const MAX_NAME = 256;
export const MAX_DESCRIPTION = 1_024;

/**
 * Reads what is sent, or written into a file, to make a meter: as JSON, whose long numbers are JsonNumbers.
 *
 * @param beside names of members that the caller reads itself.
 */
export function checkNewMeter(
  input: unknown,
  beside: readonly string[] = [],
): { meter: NewMeter; faults?: never } | { meter?: never; faults: DefinitionFault[] } {
  const checked = checkMeterDefinition(input, ['slug', 'name', 'description', ...beside]);
  const faults = checked.faults ?? [];
  if (typeof input !== 'object' || input === null || Array.isArray(input)) return { faults };
  const { slug, name, description } = input as Record<string, unknown>;
  faults.unshift(
    ...slugFaults(slug),
    ...(name == null ? [] : textFaults('/name', name, MAX_NAME)),
    ...(description == null ? [] : textFaults('/description', description, MAX_DESCRIPTION)),
  );
  if (faults.length > 0) return { faults };
  return {
    meter: {
      slug: slug as string,
      name: (name as string | null | undefined) ?? (slug as string),
      description: (description as string | null | undefined) ?? null,
      definition: checked.definition!,
    },
  };
}

/** @throws {TidemarkError} `invalid_request` with every fault. */
export function requireNewMeter(input: unknown): NewMeter {
  const checked = checkNewMeter(input);
  if (checked.faults) throw invalidMeter(checked.faults);
  return checked.meter;
}

/** @param faults of a meter that was sent, at least one. */
export function invalidMeter(faults: DefinitionFault[]): TidemarkError {
  const [first] = faults;
  return new TidemarkError(
    'invalid_request',
    `${first!.pointer.slice(1) || 'the meter'}: ${first!.message}`,
    {
      errors: faults.map((fault) => ({ index: 0, ...fault })),
    },
  );
}

/** A definition as it is sent and answered. */
export function definitionJson({ eventFromMicros, ...definition }: MeterDefinition) {
  const { eventType, aggregation, value, dimensions, filter } = definition;
  const eventFrom = eventFromMicros === null ? null : formatTimestamp(eventFromMicros);
  return { eventType, eventFrom, aggregation, value, dimensions, filter };
}

/** What is wrong with a text of 1 to `max` characters. */
export function textFaults(pointer: string, value: unknown, max: number): DefinitionFault[] {
  if (typeof value !== 'string') return [{ pointer, code: 'type_invalid', message: 'must be a string' }];
  if (value === '') return [{ pointer, code: 'too_short', message: 'must not be empty' }];
  if (value.length > max) {
    return [{ pointer, code: 'too_long', message: `may have at most ${max} characters` }];
  }
  if (isStorableText(value)) return [];
  return [{ pointer, code: 'text_invalid', message: 'must not contain NUL or unpaired surrogates' }];
}

function slugFaults(slug: unknown): DefinitionFault[] {
  const pointer = '/slug';
  if (slug == null) return [{ pointer, code: 'required', message: 'is required' }];
  const faults = textFaults(pointer, slug, MAX_SLUG);
  if (faults.length > 0 || SLUG.test(slug as string)) return faults;
  const message = 'must be lower-case letters and digits, with single underscores between them, as api_calls';
  return [{ pointer, code: 'slug_invalid', message }];
}
