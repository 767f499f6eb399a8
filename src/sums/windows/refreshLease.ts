import { randomUUID } from 'node:crypto';
import type { Queryable } from '../../ground/db/queryable.ts';

/** How long others leave late windows to who has said so last, in ms: what a process that was killed costs. */
const LEASE_MS = 5_000;
/** How old the lease gets before it is renewed, in ms. */
const RENEW_MS = 1_000;

/**
 * Which process refreshes what late events have changed: one of all instances and imports, since each would do the same
 * list. By the clock of the database. It saves work and no more: where it lapses in the midst of a long refresh, two are
 * at it, as they may be.
 */
export class RefreshLease {
  private readonly holder = randomUUID();
  private renewedAt = Number.NEGATIVE_INFINITY;

  /** @returns whether it is ours now. */
  async take(db: Queryable): Promise<boolean> {
    const { rowCount } = await db.query(
      `update refresh_lease set holder = $1, until = clock_timestamp() + $2 * interval '1 millisecond', updated_at = now()
       where holder = $1 or until < clock_timestamp()`,
      [this.holder, LEASE_MS],
    );
    if (rowCount !== 1) return false;
    this.renewedAt = performance.now();
    return true;
  }

  /** Takes it again where it is about to lapse. */
  async renew(db: Queryable): Promise<void> {
    if (performance.now() - this.renewedAt > RENEW_MS) await this.take(db);
  }

  /** Lets others have it. */
  async release(db: Queryable): Promise<void> {
    await db.query(
      `update refresh_lease set until = '-infinity', updated_at = now() where holder = $1 and until > '-infinity'`,
      [this.holder],
    );
  }
}
