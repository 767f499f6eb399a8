import { randomUUID } from 'node:crypto';
import type { TenantContext } from '../../access/tenancy/tenantContext.ts';
import type { Queryable } from '../../ground/db/queryable.ts';
import { formatTimestamp } from '../../model/timestamp.ts';
import type { UsageEvent } from '../../model/usageEvent.ts';
import { factsOf, type UsageFact } from '../../outbound/delivery/facts.ts';
import type { Listeners, UsageRule } from '../../outbound/delivery/interest.ts';
import { amountOf, priceUnits } from '../../sums/costs/rating/unitPrices.ts';
import { EVENT_ROW, type EventRow } from '../../sums/listing/listEvents.ts';
import { DEFINITION_COLUMNS, type DefinitionRow, toDefinition } from '../../sums/meters/catalog/meter.ts';
import { queryMeter } from '../../sums/meters/reading/queryMeter.ts';
import { storedEvent } from '../../sums/meters/reading/storedEvent.ts';

/** Versions of events read at a time: metadata may be long. */
const ROWS_PER_STEP = 500;

/** What a correction changes of a sum that a rule compares, in a period. */
type TallyKey = Pick<UsageFact, 'rule' | 'customer' | 'start' | 'end'>;

/** A record that goes or comes, as `correct_record_tallies` takes it. */
interface MovedRecord {
  customer: string;
  key: string;
  type: string;
  value: string;
  ts: string;
  received: string;
  counts: boolean;
}

/**
 * Brings the tallies of records and of alert rules to what counts once the versions in `moved_event` have been moved. Nobody is told:
 * what has been sent stays so, and a sum that is now above its threshold is told of by the next event that adds to it.
 *
 * In the transaction of the correction, once everything else that is read of events is as it will be, with the batches' lock
 * held: who begins to listen later waits for it.
 */
export async function correctTallies(
  db: Queryable,
  context: TenantContext,
  { tenants }: Listeners,
): Promise<void> {
  const interest = tenants.get(context.tenantId);
  if (!interest || (!interest.records && interest.usageRules.length === 0)) return;
  const own = new Map([[context.tenantId, { ...interest, eventRules: [] }]]);
  const greatest = new Set(interest.usageRules.filter(isGreatest).map(({ id }) => id));
  const records: MovedRecord[] = [];
  const deltas = new Map<string, TallyKey & { units: bigint }>();
  for await (const { event, received, counts } of movedEvents(db, context.tenantId)) {
    const facts = factsOf([event], own);
    for (const { customer, key, type, value, ts } of facts?.records ?? []) {
      records.push({ customer, key, type, value, ts, received, counts });
    }
    for (const { rule, customer, start, end, add } of facts?.usage ?? []) {
      const key = `${rule} ${start} ${customer}`;
      const delta = deltas.get(key) ?? { rule, customer, start, end, units: 0n };
      delta.units += counts ? priceUnits(add) : -priceUnits(add);
      deltas.set(key, delta);
    }
  }
  if (records.length > 0) {
    await db.query('select correct_record_tallies($1, $2)', [context.tenantId, JSON.stringify(records)]);
  }
  const sums = [...deltas.values()].filter(({ rule }) => !greatest.has(rule));
  if (sums.length > 0) {
    await db.query('select correct_usage_tallies($1)', [
      JSON.stringify(
        sums.map(({ rule, customer, start, units }) => ({ rule, customer, start, delta: amountOf(units) })),
      ),
    ]);
  }
  await renewGreatest(
    db,
    context,
    [...deltas.values()].filter(({ rule }) => greatest.has(rule)),
  );
}

function isGreatest({ measured }: UsageRule): boolean {
  return typeof measured !== 'string' && 'aggregation' in measured && measured.aggregation === 'max';
}

async function* movedEvents(
  db: Queryable,
  tenantId: string,
): AsyncGenerator<{ event: UsageEvent; received: string; counts: boolean }> {
  let after = ['00000000-0000-0000-0000-000000000000', '-1'];
  for (;;) {
    const { rows } = await db.query<EventRow & { counts: boolean; version: string }>(
      `select ${EVENT_ROW}, counts, version from moved_event
       where (event_id, version) > ($1::uuid, $2::integer) order by event_id, version limit ${ROWS_PER_STEP}`,
      after,
    );
    for (const row of rows) {
      yield {
        event: storedEvent(tenantId, row),
        received: formatTimestamp(Number(row.received_micros)),
        counts: row.counts,
      };
    }
    const last = rows.at(-1);
    if (!last || rows.length < ROWS_PER_STEP) return;
    after = [last.event_id, last.version];
  }
}

/**
 * Of rules that compare the greatest value: it is read anew, once the tally is locked, as batches lock those last; also one that a
 * batch under way begins, as `correct_usage_tallies` has it. Where there is none any more, the tally goes, and begins with the
 * next value; so does one that nobody has begun and that finds its past when it begins.
 */
async function renewGreatest(db: Queryable, context: TenantContext, tallies: TallyKey[]): Promise<void> {
  if (tallies.length === 0) return;
  const keys = [
    tallies.map(({ rule }) => rule),
    tallies.map(({ customer }) => customer),
    tallies.map(({ start }) => start),
    randomUUID(),
  ];
  await db.query(
    `insert into usage_tally as t (rule_id, customer_id, period_start, epoch, begun_by, total)
     select u.rule, u.customer, u.start, r.epoch, $4, 0
     from unnest($1::uuid[], $2::text[], $3::timestamptz[]) as u (rule, customer, start)
     join alert_rule r on r.id = u.rule
     order by u.rule, u.customer collate "C", u.start
     on conflict (rule_id, customer_id, period_start) do update set total = t.total`,
    keys,
  );
  const { rows } = await db.query<DefinitionRow & { n: number; passing: boolean; series_id: number }>(
    `select (n - 1)::int as n, passing, series_id, ${DEFINITION_COLUMNS}
     from (
       select u.n, t.begun_by = $4 and u.start <= r.counted_from as passing, m.*
       from unnest($1::uuid[], $2::text[], $3::timestamptz[]) with ordinality as u (rule, customer, start, n)
       join usage_tally t on t.rule_id = u.rule and t.customer_id = u.customer and t.period_start = u.start
       join alert_rule r on r.id = t.rule_id and r.epoch = t.epoch
       join meter m on m.id = r.meter_id
       where t.crossed is distinct from r.threshold
     ) as meter`,
    keys,
  );
  if (rows.length === 0) return;
  await db.query(`select set_config('tidemark.tenant_id', $1, true)`, [context.tenantId]);
  for (const row of rows) {
    const { rule, customer, start, end } = tallies[row.n]!;
    const definition = { ...toDefinition(row), aggregation: 'max' as const };
    const { data } = await queryMeter(
      db,
      context,
      { seriesId: row.series_id, definition },
      {
        fromMicros: Date.parse(start) * 1_000,
        toMicros: Date.parse(end) * 1_000,
        granularity: null,
        offsets: [],
        groupBy: [],
        customers: [customer],
        filters: {},
        limit: 1,
      },
    );
    const total = data[0]?.value ?? null;
    const key = [rule, customer, start];
    if (total === null || row.passing) {
      await db.query(
        'delete from usage_tally where rule_id = $1 and customer_id = $2 and period_start = $3',
        key,
      );
    } else {
      await db.query(
        'update usage_tally set total = $4 where rule_id = $1 and customer_id = $2 and period_start = $3',
        [...key, total],
      );
    }
  }
}
