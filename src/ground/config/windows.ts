import { type Variables, wholeNumber } from './values.ts';

export const windowsVariables = {
  WINDOW_GRACE_MS: wholeNumber(0, 600_000).default(2_000),
  CLOSER_INTERVAL_MS: wholeNumber(50, 60_000).default(1_000),
  CLOSER_STEP_MINUTES: wholeNumber(1, 1_440).default(30),
  CLOSER_RETRY_MS: wholeNumber(10, 60_000).default(250),
  CLOSER_LOCK_TIMEOUT_MS: wholeNumber(10, 60_000).default(500),
  CLOSER_STALLED_MS: wholeNumber(100, 600_000).default(5_000),
};

type Environment = Variables<typeof windowsVariables>;

export interface WindowsConfig {
  graceMs: number;
  intervalMs: number;
  retryMs: number;
  stepMinutes: number;
  lockTimeoutMs: number;
  stalledMs: number;
}

export function windowsConfig(e: Environment): WindowsConfig {
  return {
    graceMs: e.WINDOW_GRACE_MS,
    intervalMs: e.CLOSER_INTERVAL_MS,
    retryMs: e.CLOSER_RETRY_MS,
    stepMinutes: e.CLOSER_STEP_MINUTES,
    lockTimeoutMs: e.CLOSER_LOCK_TIMEOUT_MS,
    stalledMs: e.CLOSER_STALLED_MS,
  };
}
