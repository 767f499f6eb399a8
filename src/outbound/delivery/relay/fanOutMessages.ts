import type { Queryable } from '../../../ground/db/queryable.ts';

/** Messages made into deliveries in one transaction. */
const MESSAGES_PER_STEP = 500;

/**
 * Makes deliveries of messages that nobody has to wait for any more (migrations/functions/fan_out_messages.sql says which).
 *
 * @returns whether there may be more to do. Also false when another instance is at it.
 */
export async function fanOutMessages(db: Queryable): Promise<boolean> {
  const { rows } = await db.query<{ taken: number }>('select taken from fan_out_messages($1)', [
    MESSAGES_PER_STEP,
  ]);
  return rows[0]!.taken === MESSAGES_PER_STEP;
}
