import { ok, type Verdict, warn } from '../finding.ts';
import type { Patient } from '../patient.ts';

const MOST = 10_000;

/** Deliveries that were given up. Those of queues are looked at in Redis. */
export async function checkDeadLetters({ db }: Patient): Promise<Verdict[]> {
  const { rows } = await db.query<{ dead: number; endpoints: number }>(
    `select count(*)::int as dead, count(distinct subscription_id)::int as endpoints
     from (select subscription_id from delivery where state = 'dead' limit ${MOST}) as dead`,
  );
  const { dead, endpoints } = rows[0]!;
  if (dead === 0) return [ok('no delivery has been given up')];
  const many = dead === MOST ? `${MOST} or more` : String(dead);
  return [
    warn(
      `${many} deliveries to ${endpoints} endpoints have been given up`,
      'GET /v1/subscriptions/{id}/deliveries?state=dead lists them; POST /v1/subscriptions/{id}/redeliver sends them again',
    ),
  ];
}
