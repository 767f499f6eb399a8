import { DEFAULT_EVENT_TYPE } from '../../model/usageEvent.ts';
import type { Mapping } from './mapping.ts';
import type { Constants } from './nativeEventOf.ts';
import type { TimeFormat } from './timeFormat.ts';

/** What makes events of rows. */
export interface Meaning {
  mapping: Mapping;
  constants: Constants;
  timeFormat: TimeFormat;
  /** Cells are led by apostrophes, which are taken off. */
  guarded: boolean;
}

/**
 * What is said about rows beyond themselves and the one customer, as text that is the same for what means the same:
 * neither the order of columns matters, nor a default that is written out. A customer who only stands for empty cells is
 * not the one of all rows, and is said here.
 *
 * @returns null where rows are native events as they are: the simplest form, whose ids have never known it.
 */
export function meaningOf({ mapping, constants, timeFormat, guarded }: Meaning): string | null {
  const { customerId, eventType, ...others } = constants;
  const customerMapped = mapping.columns.some(({ target }) => target.name === 'customerId');
  const columns = mapping.columns.map(({ target, column }) => [target.in, target.name, column]);
  const said = {
    columns: columns.sort(byText),
    metadata: [...mapping.metadata].sort(),
    constants: Object.entries({
      ...others,
      customerId: customerMapped ? customerId : undefined,
      eventType: eventType === DEFAULT_EVENT_TYPE ? undefined : eventType,
    })
      .filter(([, value]) => value !== undefined)
      .sort(byText),
    timeFormat,
    guarded,
  };
  const nothing =
    said.columns.length + said.metadata.length + said.constants.length === 0 &&
    timeFormat === 'iso' &&
    !guarded;
  return nothing ? null : JSON.stringify(said);
}

function byText(a: unknown, b: unknown): number {
  return JSON.stringify(a) < JSON.stringify(b) ? -1 : 1;
}
