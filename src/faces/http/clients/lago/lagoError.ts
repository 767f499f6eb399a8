import { STATUS_CODES } from 'node:http';
import type { Context } from 'hono';
import { type EventFault, TidemarkError } from '../../../../model/errors.ts';
import type { AppEnv } from '../../appEnv.ts';
import { statusOf } from '../../problem.ts';
import { errorAnswer } from '../answers.ts';

/** What Lago calls some of our codes of faults. */
const CODES: Record<string, string> = {
  required: 'value_is_mandatory',
  timestamp_invalid: 'invalid_format',
  type_invalid: 'invalid_format',
  value_already_exist: 'value_already_exist',
};

/** `{status, error, code, error_details}`, as Lago answers errors. Details are by field, and of a batch by index. */
export function refuseAsLago(c: Context<AppEnv>, error: TidemarkError): Response {
  const status = statusOf(error.code);
  const body = {
    status,
    error: STATUS_CODES[status],
    code: error.errors && status === 422 ? 'validation_errors' : error.code,
    ...(error.errors && { error_details: detailsOf(error.errors, error.members) }),
    message: error.message,
  };
  return errorAnswer(c, error, { status, body });
}

/** Of a batch, where the error is marked by `ofBatch`. */
function detailsOf(errors: EventFault[], members: object | undefined): object {
  if (!(members && 'batch' in members)) return byField(errors);
  const indexes = [...new Set(errors.map(({ index }) => index))];
  return Object.fromEntries(
    indexes.map((index) => [index, byField(errors.filter((fault) => fault.index === index))]),
  );
}

function byField(errors: EventFault[]): Record<string, string[]> {
  const details: Record<string, string[]> = {};
  for (const { pointer, code } of errors) {
    const field = pointer.slice(1) || 'event';
    details[field] = [...new Set([...(details[field] ?? []), CODES[code] ?? code])];
  }
  return details;
}

/** The same error, whose details are to be by index. */
export function ofBatch(error: unknown): unknown {
  if (!(error instanceof TidemarkError && error.errors)) return error;
  const { code, message, errors, cause } = error;
  return new TidemarkError(code, message, { errors, members: { batch: true }, cause });
}

/** One field that is wrong. @throws always. */
export function refuseField(field: string, code: string, message: string): never {
  throw new TidemarkError('invalid_events', `${field} ${message}`, {
    errors: [{ index: 0, pointer: `/${field}`, code, message }],
  });
}
