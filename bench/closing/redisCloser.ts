import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import type pg from 'pg';
import { BackgroundLoop, type BackgroundLoopOptions } from '../../src/ground/db/backgroundLoop.ts';
import { errorCode, LOCK_NOT_AVAILABLE } from '../../src/ground/db/sqlstate.ts';
import { type ClosingRecord, now } from './record.ts';

/*
 * The alternative: who closes is decided by a lock in Redis, in the way Redis documents it (SET NX PX with a token of
 * the holder's own, released by compare-and-delete). The windows move by the same conditional update, but nothing
 * there waits for the batches under way: they are in the database, and this lock is not.
 */

const RELEASE = `if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end return 0`;

export interface RedisLock {
  redis: Redis;
  key: string;
  ttlMs: number;
  /** How long this holder stands still once it has the lock, in ms. */
  stallMs: number;
}

/** Who is between lock and release, of all instances of this process. */
export class Holders {
  readonly counts = { acquired: 0, beside: 0, expired: 0, tooLate: 0 };
  private inside = 0;

  enter(): void {
    this.counts.acquired++;
    if (this.inside++ > 0) this.counts.beside++;
  }

  leave(stillHeld: boolean): void {
    this.inside--;
    if (!stillHeld) this.counts.expired++;
  }
}

export interface RedisCloserOptions extends Pick<BackgroundLoopOptions, 'connect' | 'log'> {
  config: { readonly graceMs: number; intervalMs: number; retryMs: number };
  lock: RedisLock;
  record: ClosingRecord;
  holders: Holders;
}

export class RedisCloser extends BackgroundLoop {
  constructor({ config, connect, lock, record, holders, log }: RedisCloserOptions) {
    super({
      name: 'closing',
      connect,
      intervalMs: config.intervalMs,
      retryMs: config.retryMs,
      log,
      async round(client) {
        const due = await dueNow(client, config.graceMs);
        if (due === null) return config.intervalMs;
        const asked = performance.now();
        const { redis, key, ttlMs, stallMs } = lock;
        const token = randomUUID();
        const got = await redis.set(key, token, 'PX', ttlMs, 'NX');
        if (got === null) {
          record.counts.lost++;
          return config.intervalMs;
        }
        record.lockWaits.push({ at: now(), ms: performance.now() - asked });
        holders.enter();
        let held: unknown = 0;
        try {
          if (stallMs > 0) await sleep(stallMs);
          const moved = await move(client, due);
          if (moved) record.closed(Date.parse(due) * 1_000);
          else {
            record.counts.lost++;
            holders.counts.tooLate++;
          }
        } catch (error) {
          if (errorCode(error) === LOCK_NOT_AVAILABLE) record.counts.conflictsClosing++;
          throw error;
        } finally {
          held = await redis.eval(RELEASE, 1, key, token).catch(() => 0);
          holders.leave(held === 1);
        }
        return config.intervalMs;
      },
    });
  }
}

/** Up to where windows are to be closed, ISO 8601; null when they are. */
async function dueNow(client: pg.Client, graceMs: number): Promise<string | null> {
  const { rows } = await client.query<{ due: Date }>(
    `select due
     from window_state,
          date_bin('30 seconds', clock_timestamp() - $1 * interval '1 millisecond', 'epoch'::timestamptz) as due
     where closed_until < due`,
    [graceMs],
  );
  return rows[0]?.due.toISOString() ?? null;
}

/** @returns whether windows have closed: false when somebody else has moved them as far. */
async function move(client: pg.Client, due: string): Promise<boolean> {
  const { rowCount } = await client.query(
    `with moved as (
       update window_state set closed_until = $1, updated_at = clock_timestamp(),
         settled_at = greatest(settled_at + interval '1 millisecond',
                               date_trunc('milliseconds', clock_timestamp()))
       where closed_until < $1
       returning settled_at, closed_until
     )
     insert into window_closing select * from moved`,
    [due],
  );
  return rowCount === 1;
}
