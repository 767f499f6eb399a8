import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import type { Queryable } from '../../ground/db/queryable.ts';
import { errorCode } from '../../ground/db/sqlstate.ts';

/** How often it is looked whether somebody waits, in ms. */
const LOOK_MS = 200;
const CANCELED = '57014';

/** A chunk, by its quoted name. `unordered`: batches have written columns into it. */
export interface DueChunk {
  chunk: string;
  unordered: boolean;
}

/**
 * Chunks that are due for the columnstore, or have got rows beside it again; oldest first. One of summaries that are
 * about to be made anew is left until that is done.
 */
export async function chunksDue(db: Queryable): Promise<DueChunk[]> {
  const { rows } = await db.query<DueChunk>(
    `with stale as materialized (
       select distinct date_bin('1 day', bucket, 'epoch'::timestamptz) as day from late_window where stale
     )
     select c.chunk, c.state = 3 as unordered from retention_chunk c join retention r using (relation)
     where c.state <> 1 and c.range_end < now() - r.compress_after and c.range_end > r.kept_from
       and (c.relation = 'event'
            or not exists (select from stale s
                           where s.day < c.range_end and s.day + interval '1 day' > c.range_start))
     order by c.range_end, c.relation`,
  );
  return rows;
}

export type Compressed = 'done' | 'gave way' | 'busy';

/**
 * Turns the rows of a chunk into columns, and merges the small segments that batches have written. Writers of the chunk would have to wait for it, and with them their whole
 * batch: so whoever comes to write is let through, and the work is thrown away and done another time.
 *
 * @param watch another connection, which sees who waits.
 * @returns 'busy' when another instance is at one.
 * @throws 55P03 when the chunk is read or written for longer than two seconds (autovacuum gives way after one); 40001 or
 * 40P01 when what is in it changes meanwhile, as a refresh does.
 */
export async function compressChunk(
  client: pg.Client,
  watch: Queryable,
  { chunk, unordered }: DueChunk,
  signal: AbortSignal,
): Promise<Compressed> {
  await client.query('begin');
  try {
    await client.query(`set local lock_timeout = '2s'`);
    const { rows } = await client.query<{ free: boolean; pid: number }>(
      `select pg_try_advisory_xact_lock(hashtext('tidemark.retention.columnstore')) as free, pg_backend_pid() as pid`,
    );
    if (!rows[0]!.free) {
      await client.query('rollback');
      return 'busy';
    }
    // Rows beside columns are packed by themselves, which leaves columns that are out of order as they are.
    const work = client.query('select compress_chunk($1::regclass, recompress => $2)', [chunk, unordered]);
    await Promise.all([work, giveWay(work, watch, chunk, rows[0]!.pid, signal)]);
    await client.query('commit');
    return 'done';
  } catch (error) {
    await client.query('rollback').catch(() => undefined);
    if (errorCode(error) === CANCELED) return 'gave way';
    throw error;
  }
}

/** Ends the work as soon as somebody waits to write, or the signal comes. */
async function giveWay(
  work: Promise<unknown>,
  watch: Queryable,
  chunk: string,
  pid: number,
  signal: AbortSignal,
): Promise<void> {
  let working = true;
  const ended = work.then(
    () => undefined,
    () => undefined,
  );
  void ended.then(() => {
    working = false;
  });
  while (working) {
    await Promise.race([ended, sleep(signal.aborted ? LOOK_MS / 10 : LOOK_MS, undefined, { ref: false })]);
    if (!working) return;
    // Only who works on this chunk: behind a pooler the process may have become another's meanwhile.
    const look = watch.query(
      `select pg_cancel_backend(mine.pid) from pg_locks mine
       where mine.pid = $1 and mine.relation = $2::regclass and mine.mode = 'ExclusiveLock'
         and mine.database = (select oid from pg_database where datname = current_database())
         and ($3 or exists (select from pg_locks waiting
                            where waiting.database = mine.database and waiting.relation = mine.relation
                              and not waiting.granted and waiting.mode = 'RowExclusiveLock'))`,
      [pid, chunk, signal.aborted],
    );
    await look.catch(() => undefined); // the work goes on, and the next look may succeed
  }
}
