/**
 * `ok`; `warn`: it works, and somebody should look; `fail`: what is promised does not hold, or will soon not.
 */
export type Status = 'ok' | 'warn' | 'fail';

export interface Finding {
  /** What was looked at. */
  check: string;
  status: Status;
  /** What was found. Never holds a secret. */
  message: string;
  /** What to do about it. */
  advice?: string;
}

/** What a check has found, before it is known by its name. */
export type Verdict = Omit<Finding, 'check'>;

export const ok = (message: string): Verdict => ({ status: 'ok', message });
export const warn = (message: string, advice: string): Verdict => ({ status: 'warn', message, advice });
export const fail = (message: string, advice: string): Verdict => ({ status: 'fail', message, advice });

/** By thresholds that grow worse: from `warnFrom` on a warning, from `failFrom` on a failure. */
export function judge(
  measured: number,
  { warnFrom, failFrom }: { warnFrom: number; failFrom: number },
  message: string,
  advice: string,
): Verdict {
  if (measured >= failFrom) return fail(message, advice);
  return measured >= warnFrom ? warn(message, advice) : ok(message);
}

/** Milliseconds as people say them: `4 s`, `12 min`, `3 h`, `2 days`. */
export function span(ms: number): string {
  const seconds = Math.max(0, ms) / 1_000;
  if (seconds < 1) return `${Math.round(ms)} ms`;
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7_200) return `${Math.round(seconds / 60)} min`;
  return seconds < 172_800 ? `${Math.round(seconds / 3_600)} h` : `${Math.round(seconds / 86_400)} days`;
}
