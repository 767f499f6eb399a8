import type { z } from 'zod';

/** What a rule of ours may say of a value beside what zod says of its type: `code` in the `errors` of an answer. */
export type RefusalCode =
  | 'invalid_type'
  | 'required'
  | 'not_allowed'
  | 'out_of_range'
  | 'text_invalid'
  | 'timestamp_invalid'
  | 'value_invalid';

/** For `refine`: the code and the message of what the rule refuses. */
export const refusal = (code: RefusalCode, error: string) => ({ error, params: { code } });

/** For `superRefine`: what a rule across fields refuses. */
export function refuse(
  context: z.RefinementCtx,
  path: string[],
  { code, message }: { code: RefusalCode; message: string },
): void {
  context.addIssue({ code: 'custom', path, message, params: { code } });
}
