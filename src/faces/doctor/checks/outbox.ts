import { describeHolder, endHolder } from '../../../ground/db/holders.ts';
import { HELD_BACK_MS, whoHoldsBack } from '../../../outbound/delivery/relay/heldBack.ts';
import { judge, span, type Verdict, warn } from '../finding.ts';
import type { Patient } from '../patient.ts';

const WAITING_LIMITS_MS = { warnFrom: 60_000, failFrom: 900_000 };
/** Counting stops here: it must stay cheap when much is waiting. */
const MOST = 10_000;

interface Row {
  waiting: number;
  waiting_age: number;
  pending: number;
  overdue: number;
  shut: number;
  filling: number;
}

/** Messages that nobody has handed on to who subscribes, and deliveries that are due. */
export async function checkOutbox({ db }: Patient): Promise<Verdict[]> {
  const { rows } = await db.query<Row>(
    `select (select count(*)::int from (select from outbox where fanned_out_at is null limit ${MOST}) as o) as waiting,
            coalesce((select extract(epoch from clock_timestamp() - created_at) * 1000 from outbox
                      where fanned_out_at is null order by id limit 1), 0)::float8 as waiting_age,
            (select count(*)::int from (select from delivery where state = 'pending' limit ${MOST}) as d) as pending,
            coalesce((select extract(epoch from clock_timestamp() - min(due_at)) * 1000 from delivery_lane
                      where not exists (select from endpoint_health h where h.subscription_id = delivery_lane.subscription_id
                                        and h.opened_at is not null)), 0)::float8 as overdue,
            (select count(*)::int from endpoint_health where opened_at is not null) as shut,
            (select count(*)::int from record_fill where not whole) as filling`,
  );
  const { waiting, waiting_age: age, pending, overdue, shut, filling } = rows[0]!;
  const figure = (count: number) => (count === MOST ? `${MOST} or more` : String(count));
  const advice = 'see that an instance runs, and what its log says of deliveries';
  const depth =
    waiting === 0 ? 'no message waits' : `${figure(waiting)} messages wait, the oldest for ${span(age)}`;
  const verdicts = [
    judge(age, WAITING_LIMITS_MS, `${depth}; ${figure(pending)} deliveries are pending`, advice),
  ];
  if (age >= HELD_BACK_MS) {
    for (const holder of await whoHoldsBack(db)) {
      verdicts.push(warn(`messages are held back by ${describeHolder(holder)}`, endHolder(holder)));
    }
    if (filling > 0) {
      const tenants = filling === 1 ? 'a tenant that has' : `${filling} tenants that have`;
      verdicts.push(
        warn(
          `messages wait until the records of ${tenants} begun to listen are added up`,
          'it ends by itself',
        ),
      );
    }
  }
  if (overdue >= WAITING_LIMITS_MS.warnFrom) {
    verdicts.push(judge(overdue, WAITING_LIMITS_MS, `deliveries have been due for ${span(overdue)}`, advice));
  }
  if (shut > 0) {
    verdicts.push(
      warn(
        `${shut} endpoints are left alone for a while, since they keep failing`,
        'GET /v1/subscriptions/{id}/deliveries says what they answer',
      ),
    );
  }
  return verdicts;
}
