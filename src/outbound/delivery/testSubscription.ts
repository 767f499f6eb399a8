import { randomUUID } from 'node:crypto';
import type { Queryable } from '../../ground/db/queryable.ts';
import { TidemarkError } from '../../model/errors.ts';
import type { Delivery } from './delivery.ts';

/** What came of a test message. */
export interface TestOutcome {
  messageId: string;
  delivered: boolean;
  status: number | null;
  error: string | null;
  /** The beginning of the answer. */
  response: string | null;
  durationMs: number;
}

/** Tests under way in this instance at a time: each may take as long as an attempt. */
const MAX_TESTS = 32;
let underWay = 0;

/**
 * Sends a message of the type `test` right now, once, also where the subscription is not active. It is in no list, and
 * changes nothing.
 *
 * @throws {TidemarkError} `not_found`, `overloaded`.
 */
export async function testSubscription(
  db: Queryable,
  delivery: Pick<Delivery, 'send'>,
  tenantId: string,
  subscriptionId: string,
): Promise<TestOutcome> {
  const { rows } = await db.query<{ url: string | null; stream: string | null; secrets: string[] }>(
    `select url, stream, signing_secrets(id) as secrets
     from subscription where tenant_id = $1 and id = $2 and deleted_at is null`,
    [tenantId, subscriptionId],
  );
  if (!rows[0]) throw new TidemarkError('not_found', 'there is no such subscription');
  if (underWay >= MAX_TESTS) {
    throw new TidemarkError('overloaded', 'too many tests are under way', { retryAfterSeconds: 5 });
  }
  const id = randomUUID();
  const message = { id, type: 'test', createdAt: new Date(), payload: JSON.stringify({ subscriptionId }) };
  underWay++;
  try {
    const { ok, status, error, response, durationMs } = await delivery.send(message, tenantId, rows[0]);
    return { messageId: id, delivered: ok, status, error, response, durationMs: Math.round(durationMs) };
  } finally {
    underWay--;
  }
}
