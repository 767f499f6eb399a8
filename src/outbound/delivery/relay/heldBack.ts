import { describeHolder, endHolder, type Holder, holdersOf } from '../../../ground/db/holders.ts';
import type { Queryable } from '../../../ground/db/queryable.ts';
import type { Logger } from '../../../ground/telemetry/logger.ts';

/** How long messages wait before it is asked whom for, in ms. */
export const HELD_BACK_MS = 60_000;
/** Between two lines about the same, in ms. */
const REPEAT_MS = 60_000;

/** Who holds messages back: transactions that may have written some, else who makes deliveries and does not end. */
export async function whoHoldsBack(db: Queryable): Promise<Holder[]> {
  const writers = await holdersOf(db, 'outbox');
  return writers.length > 0 ? writers : holdersOf(db, 'fan_out');
}

/** Names in the log what has held messages back for a minute, once a minute. */
export class HeldBack {
  private readonly log: Logger;
  private quietUntil = 0;

  constructor(log: Logger) {
    this.log = log;
  }

  /** @param oldestMs age of the oldest message that waits. */
  async look(db: Queryable, oldestMs: number): Promise<void> {
    if (oldestMs < HELD_BACK_MS || performance.now() < this.quietUntil) return;
    this.quietUntil = performance.now() + REPEAT_MS;
    const holders = await whoHoldsBack(db);
    const oldestSeconds = Math.round(oldestMs / 1_000);
    if (holders.length === 0) {
      const { rows } = await db.query<{ filling: number }>(
        'select count(*)::int as filling from record_fill where not whole',
      );
      const why = rows[0]!.filling > 0 ? 'until earlier records are added up' : 'and nobody holds them back';
      this.log.warn({ oldestSeconds }, `messages wait, ${why}`);
    }
    for (const holder of holders) {
      this.log.warn(
        { holder, oldestSeconds, remedy: endHolder(holder) },
        `messages are held back by ${describeHolder(holder)}`,
      );
    }
  }
}
