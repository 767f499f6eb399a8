import type { z } from 'zod';
import { type EventFault, TidemarkError } from '../../model/errors.ts';
import { issueMessage } from '../../model/issueMessage.ts';

type Issue = z.core.$ZodIssue;

/** A fault in a parameter or a small body. A few parameters have codes of their own. */
export function invalidRequest(issues: readonly Issue[]): TidemarkError {
  const errors: EventFault[] = issues.map((issue) => ({
    index: 0,
    pointer: issue.path.map((part) => `/${String(part)}`).join(''),
    code: codeOf(issue),
    message: issueMessage(issue),
  }));
  const first = errors[0]!;
  const code = first.pointer === '/granularity' ? 'granularity_invalid' : 'invalid_request';
  return new TidemarkError(code, `${first.pointer.slice(1) || 'the request'}: ${first.message}`, { errors });
}

/** zod's own code, or that of the rule of ours that was broken (`refusal`): zod has one for all of them. */
function codeOf(issue: Issue): string {
  if (issue.code !== 'custom') return issue.code!;
  const code: unknown = issue.params?.code;
  return typeof code === 'string' ? code : 'value_invalid';
}
