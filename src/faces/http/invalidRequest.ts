import { type EventFault, TidemarkError } from '../../model/errors.ts';

/** A fault in a parameter or a small body. A few parameters have codes of their own. */
export function invalidRequest(
  issues: { path: PropertyKey[]; message: string; code: string }[],
): TidemarkError {
  const errors: EventFault[] = issues.map((issue) => ({
    index: 0,
    pointer: issue.path.map((part) => `/${String(part)}`).join(''),
    code: issue.code,
    message: issue.message,
  }));
  const first = errors[0]!;
  const code = first.pointer === '/granularity' ? 'granularity_invalid' : 'invalid_request';
  return new TidemarkError(code, `${first.pointer.slice(1) || 'the request'}: ${first.message}`, { errors });
}
