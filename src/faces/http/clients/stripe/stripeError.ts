import type { Context } from 'hono';
import type { TidemarkError } from '../../../../model/errors.ts';
import type { AppEnv } from '../../appEnv.ts';
import { errorAnswer, theirStatus, wholeMessage } from '../answers.ts';

/** `{error: {type, code, message, param}}`, as Stripe answers errors of v1 and v2. */
export function refuseAsStripe(c: Context<AppEnv>, error: TidemarkError): Response {
  const status = theirStatus(error);
  const [first] = error.errors ?? [];
  const param = first && paramOf(first.pointer);
  c.header('Request-Id', c.get('requestId'));
  // Its client repeats what was answered with 409 or 5xx: what is not here will not be, and a conflict stays one.
  if (status === 501 || status === 409) c.header('Stripe-Should-Retry', 'false');
  return errorAnswer(c, error, {
    status,
    body: {
      error: {
        type: typeOf(c, error, status),
        code: error.code,
        message: wholeMessage(error),
        ...(param && { param }),
      },
    },
  });
}

function typeOf(c: Context<AppEnv>, { code }: TidemarkError, status: number): string {
  if (code === 'key_expired' && c.req.path.endsWith('/meter_event_stream'))
    return 'temporary_session_expired';
  if (code === 'idempotency_key_reused') return 'idempotency_error';
  if (status === 429) return 'rate_limit';
  return status >= 500 ? 'api_error' : 'invalid_request_error';
}

/** `/payload/value` as a form has it. */
function paramOf(pointer: string): string {
  const [first = '', ...rest] = pointer.slice(1).split('/');
  return first + rest.map((name) => `[${name}]`).join('');
}
