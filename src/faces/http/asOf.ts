import { z } from '@hono/zod-openapi';
import type { Queryable } from '../../ground/db/queryable.ts';
import { TidemarkError } from '../../model/errors.ts';
import { formatTimestamp } from '../../model/timestamp.ts';
import { type AsOf, asOfCursor, readAsOf, readAsOfCursor } from '../../sums/asof/asOf.ts';
import { requireKept } from '../../sums/retention/requireKept.ts';
import { microsOf } from './range.ts';

const AS_OF =
  'As it was at this moment, of what had come in and had been corrected by then. The answer tells in asOf the moment that is ' +
  'meant: this one, or the last at which windows closed. Not before single events are kept, and none of the range. See docs/corrections.md.';

/** The parameter. */
export const asOfParameter = z
  .string()
  .max(64)
  .optional()
  .openapi({ format: 'date-time', description: AS_OF });

/** What the answer says. */
export const asOfField = z
  .string()
  .optional()
  .openapi({ description: 'Where asOf is asked for: the moment that it is of.' });

/** A moment as a parameter has it, in µs since the epoch. @throws {TidemarkError} `invalid_request` with a pointer. */
export function microsAsked(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  try {
    return microsOf(name, text);
  } catch (error) {
    if (!(error instanceof TidemarkError)) throw error;
    throw parameterFault(name, 'time_invalid', error.message);
  }
}

/** A parameter that is refused. */
export function parameterFault(name: string, code: string, message: string): TidemarkError {
  return new TidemarkError('invalid_request', message, {
    errors: [{ index: 0, pointer: `/${name}`, code, message }],
  });
}

/** A page of a list as of a moment. */
interface AsOfPage {
  nextCursor: string | null;
}

/** Of which moment a page is asked for. */
interface AskedPage {
  /** µs since the epoch; undefined: as it is now. */
  asOf: number | undefined;
  /** Where its range begins, in ms since the epoch. */
  from: number;
  cursor: string | undefined;
}

/**
 * Reads a page as it is now, or as of the moment that is asked for, with that moment in front; all pages behind it are of
 * the same.
 *
 * @param work what reads the page.
 * @throws {TidemarkError} `cursor_invalid`; the reading `as_of_in_future`, `as_of_not_kept`.
 * @throws TM005 the reading, where single events of the range are no longer kept.
 */
export function pageAsOf<Page extends AsOfPage>(
  { asOf: micros, from, cursor }: AskedPage,
  work: (db: Queryable, at: { asOf: AsOf | undefined; cursor: string | undefined }) => Promise<Page>,
): (db: Queryable) => Promise<Page & { asOf?: string }> {
  if (micros === undefined) return (db) => work(db, { asOf: undefined, cursor });
  const { walks, cursor: within } = readAsOfCursor(cursor, 1);
  return async (db) => {
    const moment = await readAsOf(db, { name: 'asOf', micros, walk: walks[0] });
    await requireKept(db, 'event', from);
    const page = await work(db, { asOf: moment, cursor: within });
    return {
      asOf: formatTimestamp(moment.micros),
      ...page,
      nextCursor: asOfCursor([moment], page.nextCursor),
    };
  };
}
