import type { DeliveryConfig } from '../../../ground/config/delivery.ts';
import type { Queryable } from '../../../ground/db/queryable.ts';
import {
  type AttemptResult,
  OUTGOING_COLUMNS,
  type Outgoing,
  type OutgoingRow,
  toOutgoing,
} from './outgoing.ts';
import type { Verdict } from './verdict.ts';

/** How an endpoint that is a stream is looked after: it is our own Redis, which is asked again soon. */
const STREAM_PROBE_MS = 5_000;

/**
 * Writes down what became of an attempt. Does nothing once another instance has taken the lane.
 *
 * @param goOn whether the lane is to stay with this process.
 * @returns the next delivery of the lane, under a new lease of the same length; null: the lane has been given up.
 */
export async function finishDelivery(
  db: Queryable,
  sent: Outgoing,
  result: AttemptResult,
  verdict: Verdict,
  config: DeliveryConfig,
  goOn: boolean,
): Promise<Outgoing | null> {
  const { failures, probeMinMs, probeMaxMs } = config.breaker;
  const ours = sent.destination.stream !== null;
  const ms = (parameter: number) => `$${parameter} * interval '1 millisecond'`;
  const { rows } = await db.query<OutgoingRow>(
    `select ${OUTGOING_COLUMNS}
     from finish_delivery($1, $2, $3, $4, $5, $6, $7, $8, $9, ${ms(10)}, $11, ${ms(12)}, ${ms(13)}, ${ms(14)}) as d`,
    [
      ...[sent.subscriptionId, sent.customerId, sent.lease, sent.deliveryId],
      ...[verdict.outcome, result.status, result.error, result.response, Math.round(result.durationMs)],
      verdict.retryInMs,
      failures,
      ours ? Math.min(STREAM_PROBE_MS, probeMinMs) : probeMinMs,
      ours ? Math.min(STREAM_PROBE_MS, probeMaxMs) : probeMaxMs,
      goOn ? config.leaseMs : null,
    ],
  );
  return rows[0] ? toOutgoing(rows[0]) : null;
}

/** Gives a lane up without an attempt having been made: it is due at once. */
export async function releaseLane(db: Queryable, held: Outgoing): Promise<void> {
  await db.query(
    `update delivery_lane set lease = null, due_at = now()
     where subscription_id = $1 and customer_id = $2 and lease = $3`,
    [held.subscriptionId, held.customerId, held.lease],
  );
}
