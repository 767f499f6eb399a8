import { errorCode } from '../../ground/db/sqlstate.ts';
import { type EventFault, TidemarkError } from '../../model/errors.ts';
import type { Refusal } from './batch.ts';

/* What a request is told whose events have not been written. */

/** It is not stored, or nobody can tell: sending it again is safe. */
export function unavailable(cause: unknown): TidemarkError {
  return new TidemarkError(
    'database_unavailable',
    'the event could not be stored; retry with the same event ids',
    {
      retryAfterSeconds: 1,
      cause,
    },
  );
}

/** It asks for more locks or memory than one transaction may have. */
export function tooLarge(cause: unknown): TidemarkError {
  return new TidemarkError(
    'transaction_too_large',
    'the request needs more locks or memory than one transaction may have; send fewer events, or events of fewer days, ' +
      'per request, with the same event ids',
    { cause },
  );
}

/** @param refusal the event it is about, where that is known: its index is the place among the events of the request. */
export function refused(cause: unknown, refusal: Refusal | null): TidemarkError {
  return new TidemarkError('event_rejected_by_database', 'the database refuses an event of this request', {
    cause,
    ...(refusal && { errors: [refusalFault(refusal)] }),
  });
}

/** What is told of a refused event. What the database says of it may quote what is not the caller's. */
export function refusalFault({ index, code }: Refusal): EventFault {
  const message = `the database refuses it (SQLSTATE ${code})`;
  return { index, pointer: '', code: 'event_rejected_by_database', message };
}

/** The event at `index`, by what the database has said. */
export function refusalOf(index: number, cause: unknown): Refusal {
  return { index, code: errorCode(cause) ?? '', cause };
}
