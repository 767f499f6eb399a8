import type { z } from 'zod';

/**
 * What a schema finds wrong, for whoever sent it: of what is left out, and of an empty text, in our words. zod speaks
 * of `undefined` and of a minimum there, which nobody has sent.
 */
export function issueMessage(issue: z.core.$ZodIssue): string {
  const { code, message } = issue;
  if (code === 'invalid_type' && /^Invalid input: .*, received undefined$/.test(message))
    return 'is required';
  if (
    code === 'too_small' &&
    issue.origin === 'string' &&
    issue.minimum === 1 &&
    message.startsWith('Too small')
  )
    return 'must not be empty';
  return message;
}
