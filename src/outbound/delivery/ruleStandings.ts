import { customerNames } from '../../access/tenancy/customers.ts';
import type { TenantContext } from '../../access/tenancy/tenantContext.ts';
import type { Queryable } from '../../ground/db/queryable.ts';
import { TidemarkError } from '../../model/errors.ts';
import type { PriceBooks } from '../../sums/costs/reading/priceBooks.ts';
import { findLiveMeter } from '../../sums/meters/catalog/meter.ts';
import type { RankedBy } from '../../sums/ranking/rankCustomers.ts';
import { rankCustomers } from '../../sums/ranking/rankCustomers.ts';
import { type AlertRule, getAlertRule } from './alertRules.ts';
import { periodEnd, periodStart } from './usagePeriod.ts';

export interface StandingsQuery {
  /** A moment of the period, in µs since the epoch. */
  at: number;
  /** Only this one. */
  customerId?: string | undefined;
  limit: number;
}

/** Where customers stand with a rule in one of its periods. */
export interface RuleStandings {
  rule: AlertRule;
  periodStart: string;
  periodEnd: string;
  /** Those that the rule is about and that have anything in the period. */
  customers: number;
  /** Of them those above the threshold. */
  above: number;
  data: RuleStanding[];
}

export interface RuleStanding {
  customerId: string;
  name: string | null;
  /** Exact decimal. */
  value: string;
  /** Whether usage.threshold was written of it, in this period and of this threshold. */
  told: boolean;
}

/** Reads what is of one moment. */
export type InOneMoment = <Answer>(work: (db: Queryable) => Promise<Answer>) => Promise<Answer>;

/**
 * Where customers stand with a rule of the kind usage, the nearest to the threshold, or farthest above it, first. It is
 * counted from what there is: whether anybody listens to the rule, and since when, makes no difference.
 *
 * @throws {TidemarkError} `not_found`; `invalid_request` of a rule of the kind event, which adds nothing up; `range_too_large`.
 * @throws TM005 where something of the period is no longer kept.
 */
export async function ruleStandings(
  admin: Queryable,
  inOneMoment: InOneMoment,
  context: TenantContext,
  id: string,
  { at, customerId, limit }: StandingsQuery,
  books: PriceBooks,
): Promise<RuleStandings> {
  const rule = await getAlertRule(admin, context, id);
  if (rule.kind === 'event') {
    const message = 'a rule of the kind event compares each event by itself: it adds nothing up';
    const errors = [{ index: 0, pointer: '/id', code: 'not_allowed', message }];
    throw new TidemarkError('invalid_request', message, { errors });
  }
  const from = periodStart(rule.period, at);
  const to = periodEnd(rule.period, from);
  const { threshold } = rule;
  const customers = customerId === undefined ? rule.customers : among(rule.customers, customerId);
  const { names, data, ...counts } = await inOneMoment(async (db) => {
    const by = await rankedBy(db, context, rule);
    const ranking = await rankCustomers(db, context, by, { from, to, customers, threshold, limit }, books);
    const ids = ranking.data.map((one) => one.customerId);
    return { ...ranking, names: await customerNames(db, context, ids) };
  });
  const { rows } = await admin.query<{ customer_id: string }>(
    `select customer_id from usage_tally
     where rule_id = $1 and period_start = $2 and customer_id = any($3::text[]) and crossed = $4`,
    [id, new Date(from), data.map((one) => one.customerId), threshold],
  );
  const told = new Set(rows.map(({ customer_id }) => customer_id));
  return {
    rule,
    periodStart: new Date(from).toISOString(),
    periodEnd: new Date(to).toISOString(),
    customers: counts.customers,
    above: counts.above,
    data: data.map((one) => ({
      customerId: one.customerId,
      name: names.get(one.customerId) ?? null,
      value: one.value,
      told: told.has(one.customerId),
    })),
  };
}

const among = (customers: string[] | null, customerId: string) =>
  customers === null || customers.includes(customerId) ? [customerId] : [];

async function rankedBy(
  db: Queryable,
  context: TenantContext,
  rule: Extract<AlertRule, { kind: 'usage' }>,
): Promise<RankedBy> {
  if (rule.meter !== undefined) return { meter: await findLiveMeter(db, context.tenantId, rule.meter) };
  const eventType = rule.eventType ?? undefined;
  if (rule.measure === 'cost') return { measure: 'cost', currency: rule.currency!, eventType };
  return { measure: rule.measure, eventType };
}
