import { tenantContext } from '../../../access/tenancy/tenantContext.ts';
import { Turns } from '../../../access/tenancy/turns.ts';
import type { Queryable } from '../../../ground/db/queryable.ts';
import type { TenantReads } from '../../../ground/db/tenantReads.ts';
import type { WindowSummary } from '../../../sums/rollups/windowSummary.ts';
import { type Digested, digestWindows } from '../../proof/digestWindows.ts';
import type { Outgoing } from './outgoing.ts';

/** Digests that an instance makes at a time for messages, and how long others wait for their turn, in ms. */
const AT_ONCE = 2;
const LONGEST_WAIT_MS = 30_000;

const turns = new Turns(AT_ONCE, LONGEST_WAIT_MS, () => new Error('too many digests are being made'));

/** What the message tells of its window. */
type Told = Pick<WindowSummary, 'windowStart' | 'customerId' | 'revision' | 'aggregations'>;

/**
 * A delivery with the digest of the revision that it tells of, where its subscription asks for that (docs/adr/0046). It
 * is made once, before the first attempt, and kept: every attempt has the same. Where the window has been revised since,
 * it has none and says so; the message of that revision has its own.
 */
export async function withDigest(
  db: Queryable,
  reads: Pick<TenantReads, 'inOneMoment'>,
  outgoing: Outgoing,
): Promise<Outgoing> {
  if (!outgoing.lacksDigest) return outgoing;
  const told = JSON.parse(outgoing.message.payload) as Told;
  const made = await turns.take(() => digestOf(reads, outgoing.tenantId, told));
  // Another instance may have made one, while this one waited.
  const { rows } = await db.query<{ digest: string }>(
    'update delivery set digest = coalesce(digest, $2) where id = $1 returning digest',
    [outgoing.deliveryId, JSON.stringify(made)],
  );
  const digest = rows[0]?.digest ?? null; // the delivery may be gone, with its subscription
  return { ...outgoing, message: { ...outgoing.message, digest }, lacksDigest: false };
}

function digestOf(
  reads: Pick<TenantReads, 'inOneMoment'>,
  tenantId: string,
  { windowStart, customerId, revision, aggregations }: Told,
): Promise<Digested> {
  const context = tenantContext(tenantId);
  const window = { startMs: Date.parse(windowStart), customerId, events: aggregations.totalCalls };
  return reads.inOneMoment(context, async (db) => {
    const { rows } = await db.query<{ revision: number }>({
      name: 'revision of a window',
      text: 'select revision from tenant_data.late_window where tenant_id = $1 and customer_id = $2 and bucket = $3',
      values: [tenantId, customerId, windowStart],
    });
    const now = rows[0]?.revision ?? 0;
    if (now > revision) return { digest: null, digestUnavailable: 'superseded' } satisfies Digested;
    const [digested] = await digestWindows(db, context, [window]);
    return digested!;
  });
}
