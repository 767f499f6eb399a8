import type { Queryable } from '../../ground/db/queryable.ts';
import type { DatabaseFigures, Scope } from './overview.ts';

/** Counting stops here: it must stay cheap when much is waiting. */
const MOST = 10_000;

interface Row {
  scope: Scope;
  closed_until: Date;
  late: number;
  waiting: number;
  pending: number;
  dead: number;
}

const COUNTED = (from: string) => `(select count(*)::int from (select ${from} limit ${MOST}) as counted)`;

/**
 * What the database says of some scopes, in one statement.
 *
 * @returns one for each scope, in their order.
 */
export async function surveyScopes(db: Queryable, scopes: readonly Scope[]): Promise<DatabaseFigures[]> {
  const { rows } = await db.query<Row>(
    `with waiting as materialized (
       select tenant_id, count(*)::int as messages
       from (select tenant_id from outbox where fanned_out_at is null order by id limit ${MOST}) as o
       group by tenant_id
     )
     select t.id as scope, w.closed_until,
       ${COUNTED('from late_window l where l.tenant_id = t.id and l.stale and l.bucket < w.closed_until')} as late,
       coalesce((select messages from waiting where tenant_id = t.id), 0) as waiting,
       ${COUNTED(`from subscription s join delivery d on d.subscription_id = s.id and d.state = 'pending'
                  where s.tenant_id = t.id`)} as pending,
       ${COUNTED(`from subscription s join delivery d on d.subscription_id = s.id and d.state = 'dead'
                  where s.tenant_id = t.id`)} as dead
     from unnest($1::text[]) as t (id), window_state w
     union all
     select null, w.closed_until,
       ${COUNTED('from late_window l where l.stale and l.bucket < w.closed_until')},
       (select coalesce(sum(messages), 0)::int from waiting),
       ${COUNTED(`from delivery where state = 'pending'`)},
       ${COUNTED(`from delivery where state = 'dead'`)}
     from window_state w where $2`,
    [scopes.filter((scope) => scope !== null), scopes.includes(null)],
  );
  const found = new Map(rows.map((row) => [row.scope, figuresOf(row)]));
  return scopes.map((scope) => found.get(scope)!);
}

function figuresOf({ closed_until, late, waiting, pending, dead }: Row): DatabaseFigures {
  return {
    closedUntil: closed_until.toISOString(),
    lateWindows: late,
    messagesWaiting: waiting,
    deliveriesPending: pending,
    deadLetters: dead,
  };
}
