import type { EventFault } from '../../../model/errors.ts';
import { invalidPrices, momentOf } from './newPrice.ts';

/**
 * Reads what is sent to have a price end: `{effectiveTo}`.
 *
 * @returns µs since the epoch.
 * @throws {TidemarkError} `invalid_request`.
 */
export function requireEnd(input: unknown): number {
  const faults: EventFault[] = [];
  const fault = (pointer: string, code: string, message: string) =>
    faults.push({ index: 0, pointer, code, message });
  const isObject = typeof input === 'object' && input !== null && !Array.isArray(input);
  if (!isObject) fault('', 'type_invalid', 'must be an object');
  const { effectiveTo, ...others } = (isObject ? input : {}) as Record<string, unknown>;
  for (const name of Object.keys(others)) {
    const pointer = `/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`;
    fault(pointer, 'unknown_field', 'is not what ends a price');
  }
  if (isObject && effectiveTo == null) fault('/effectiveTo', 'required', 'is required');
  const micros = momentOf(effectiveTo, '/effectiveTo', fault);
  if (micros === null || faults.length > 0) throw invalidPrices(faults);
  return micros;
}
