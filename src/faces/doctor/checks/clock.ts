import { judge, span, type Verdict } from '../finding.ts';
import type { Patient } from '../patient.ts';

/** Windows close by the server's clock; what is live, and what lies in the future, is told by the instance's. */
export const SKEW_LIMITS_MS = { warnFrom: 1_000, failFrom: 30_000 };
const ADVICE = 'let a time service (chrony, systemd-timesyncd) run on both machines';

/** Asks a few times, and believes the quickest answer: it leaves the least room for error. */
export async function checkClock({ db }: Patient): Promise<Verdict[]> {
  const skew = await measureSkew(async () => {
    const { rows } = await db.query<{ ms: string }>(
      'select (extract(epoch from clock_timestamp()) * 1000)::text as ms',
    );
    return Number(rows[0]!.ms);
  });
  return [judgeSkew(skew, 'the database')];
}

export interface Skew {
  /** How far the other clock is ahead of ours, in ms. */
  aheadMs: number;
  /** How far that may be wrong, in ms. */
  uncertaintyMs: number;
}

const TRIES = 3;

/** @param ask what the other clock says, in ms since the epoch. */
export async function measureSkew(ask: () => Promise<number>): Promise<Skew> {
  let best: Skew = { aheadMs: 0, uncertaintyMs: Number.POSITIVE_INFINITY };
  for (let i = 0; i < TRIES; i++) {
    const began = Date.now();
    const started = performance.now();
    const theirs = await ask();
    const uncertaintyMs = (performance.now() - started) / 2;
    if (uncertaintyMs < best.uncertaintyMs)
      best = { aheadMs: theirs - (began + uncertaintyMs), uncertaintyMs };
  }
  return best;
}

/** Only what cannot be due to the way there and back counts. */
export function judgeSkew({ aheadMs, uncertaintyMs }: Skew, whose: string): Verdict {
  const sure = Math.max(0, Math.abs(aheadMs) - uncertaintyMs);
  const message =
    sure < 1
      ? `the clocks of this machine and ${whose} agree`
      : `the clock of ${whose} is ${span(Math.abs(aheadMs))} ${aheadMs > 0 ? 'ahead of' : 'behind'} that of this machine`;
  return judge(sure, SKEW_LIMITS_MS, message, ADVICE);
}
