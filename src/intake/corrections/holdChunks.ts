import { eventChunks } from '../../ground/db/columnstore.ts';
import type { Engine } from '../../ground/db/engine.ts';
import type { Queryable } from '../../ground/db/queryable.ts';
import { errorCode } from '../../ground/db/sqlstate.ts';
import type { BeforeReading } from './locateEvents.ts';
import { EventsMoved } from './moveEvents.ts';

const UNDEFINED_TABLE = '42P01';

/**
 * Locks the chunks of events that a transaction is going to read as if it had written to them: it may. Who packs one locks it so that
 * no one writes, and in the end so that no one reads; a transaction that had read it, and came to write, would wait for it in a
 * circle. The hypertable first, as everybody else locks them. Nothing on the postgres engine.
 *
 * @returns what throws `EventsMoved` where a chunk has gone meanwhile.
 */
export function holdChunks(db: Queryable, engine: Engine): BeforeReading {
  if (engine === 'postgres') return async () => undefined;
  let chunks: ReturnType<typeof eventChunks> | undefined;
  const held = new Set<string>();
  return async (from, to) => {
    chunks ??= eventChunks(db);
    const wanted = (await chunks)
      .filter(({ fromMicros, toMicros }) => fromMicros <= to * 1_000 && toMicros > from * 1_000)
      .map(({ relation }) => relation)
      .filter((relation) => !held.has(relation));
    if (wanted.length === 0) return;
    const names = ['event', ...wanted].map((relation) => `only ${relation}`).join(', ');
    await db.query(`lock table ${names} in row exclusive mode`).catch((error: unknown) => {
      throw errorCode(error) === UNDEFINED_TABLE ? new EventsMoved('a chunk of events has gone') : error;
    });
    for (const relation of wanted) held.add(relation);
  };
}
