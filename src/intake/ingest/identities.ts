import type { Queryable } from '../../ground/db/queryable.ts';
import { textArray } from '../../ground/db/sqlLiteral.ts';
import { type Identified, IdentityKeys } from '../../model/identityKey.ts';
import type { UsageEvent } from '../../model/usageEvent.ts';
import { identityKey } from './batch.ts';
import { IdentityClaims, KEY_COLUMNS } from './identityClaims.ts';

/** How often it is asked whether the ids of before have all been moved, in ms. */
const LOOK_EVERY_MS = 10_000;
/** One key a row: a row of several would be left out for any of them. */
const CLAIM_EACH = `
  insert into event_key (${KEY_COLUMNS.join(', ')})
  select ${KEY_COLUMNS.map((_, slot) => `case when slot = ${slot} then key end`).join(', ')}
  from unnest($1::uuid[], $2::integer[]) as claimed (key, slot)
  on conflict do nothing
  returning coalesce(${KEY_COLUMNS.join(', ')}) as key`;
const UNMOVED = `
  select i.event_id, i.tenant_id from unnest($1::uuid[], $2::text[]) as claimed (event_id, tenant_id)
  join event_identity i on i.event_id = claimed.event_id and i.tenant_id = claimed.tenant_id`;
/** How many of some keys, told by slot, a transaction has claimed. */
const CLAIMED_BY = `
  select ${KEY_COLUMNS.map(
    (column, slot) =>
      `(select count(*) from event_key where ${column} = any ($${slot + 2}::uuid[]) and xmin = $1::text::xid8::xid)`,
  ).join(' + ')} as n`;

/** What writers have to know of the identities of an installation: its secret, and where else ids may be known. */
export class Identities {
  private found: { keys: IdentityKeys; moved: boolean } | null = null;
  private askedAt = 0;

  /** @param db is asked once, and again while ids are being moved. */
  async current(db: Queryable): Promise<{ keys: IdentityKeys; moved: boolean }> {
    const now = Date.now();
    if (this.found && (this.found.moved || now < this.askedAt + LOOK_EVERY_MS)) return this.found;
    const { rows } = await db.query<{ secret: string; moved: boolean }>(
      `select identity_secret as secret, (select finished_at is not null from identity_move) as moved
       from installation`,
    );
    const { secret, moved } = rows[0]!;
    this.askedAt = now;
    this.found = { keys: this.found?.keys ?? new IdentityKeys(secret), moved };
    return this.found;
  }

  /**
   * Claims each id that is new, in the order of keys. One that was counted before there were keys keeps its place, and its
   * age, where it is.
   *
   * @param db in the transaction that is to claim them.
   * @returns their events.
   */
  async claimEach<Event extends Identified>(db: Queryable, rows: Event[]): Promise<Set<Event>> {
    const { keys, moved } = await this.current(db);
    const fresh = moved ? rows : await withoutUnmoved(db, rows);
    const claims = new IdentityClaims(fresh, keys).inOrder();
    const claimed = await db.query<{ key: string }>(CLAIM_EACH, [claims.keys, claims.slots]);
    const eventOf = new Map(claims.keys.map((key, i) => [key, fresh[claims.places[i]!]!]));
    return new Set(claimed.rows.map(({ key }) => eventOf.get(key)!));
  }

  /** Whether the transaction with that id has claimed the ids of all these events. */
  async claimedBy(db: Queryable, xid: string, rows: UsageEvent[]): Promise<boolean> {
    const { keys } = await this.current(db);
    const claims = new IdentityClaims(rows, keys).bySlot();
    const claimed = await db.query<{ n: string }>(CLAIMED_BY, [xid, ...claims]);
    return Number(claimed.rows[0]!.n) === rows.length;
  }
}

/**
 * Fails where an id was counted before there were keys and has not been moved. Asked before keys are claimed: what is not
 * there any more by then is among the keys.
 */
export function refuseUnmoved(rows: UsageEvent[]): string {
  const ids = rows.map(({ eventId }) => eventId);
  return `select refuse_unmoved('{${ids}}', ${textArray(rows.map(({ tenantId }) => tenantId))})`;
}

/** The others, for the same reason. */
async function withoutUnmoved<Event extends Identified>(db: Queryable, rows: Event[]): Promise<Event[]> {
  const found = await db.query<{ event_id: string; tenant_id: string }>(UNMOVED, [
    rows.map(({ eventId }) => eventId),
    rows.map(({ tenantId }) => tenantId),
  ]);
  const known = new Set(
    found.rows.map((row) => identityKey({ eventId: row.event_id, tenantId: row.tenant_id })),
  );
  return rows.filter((row) => !known.has(identityKey(row)));
}
