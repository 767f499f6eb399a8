import { randomUUID } from 'node:crypto';
import { type Actor, COMMAND, writeEntries } from '../../access/tenancy/auditLog.ts';
import type { TenantContext } from '../../access/tenancy/tenantContext.ts';
import { byAge, listByAge } from '../../ground/db/listByAge.ts';
import type { Page } from '../../ground/db/paging.ts';
import type { Queryable } from '../../ground/db/queryable.ts';
import { errorCode, METER_IN_USE } from '../../ground/db/sqlstate.ts';
import { waitingForBatches } from '../../ground/db/waitingForBatches.ts';
import { TidemarkError } from '../../model/errors.ts';
import { findMeter, type Meter } from '../../sums/meters/catalog/meter.ts';
import type { Aggregation } from '../../sums/meters/definition/meterDefinition.ts';
import { costHistoryOf } from './costHistory.ts';
import { type AlertField, METER_AGGREGATIONS, type UsageMeasure, type UsagePeriod } from './messageTypes.ts';
import { historyOf } from './meterHistory.ts';

/**
 * What is compared: a field of each event, or what a meter takes for its value; or a sum per customer and period of UTC, or
 * what a meter says of them. A meter by its slug; a cost has a currency, a code of ISO 4217.
 */
export type Comparison =
  | { kind: 'event'; field: AlertField; meter?: undefined; currency?: string | undefined }
  | { kind: 'event'; field?: undefined; meter: string; currency?: undefined }
  | {
      kind: 'usage';
      measure: UsageMeasure;
      meter?: undefined;
      currency?: string | undefined;
      period: UsagePeriod;
    }
  | { kind: 'usage'; measure?: undefined; meter: string; currency?: undefined; period: UsagePeriod };

interface Common {
  id: string;
  tenantId: string;
  name: string | null;
  /** Decimal string. */
  threshold: string;
  /** Null: all. */
  customers: string[] | null;
  eventType: string | null;
  active: boolean;
  createdAt: string;
  updatedAt: string;
}

export type AlertRule = Comparison & Common;

export type NewAlertRule = Comparison & {
  name?: string | null | undefined;
  /** A plain decimal. */
  threshold: string;
  customers?: string[] | null | undefined;
  eventType?: string | null | undefined;
};

/** What is left out stays as it is. What is compared cannot be changed: that is another rule. */
export interface AlertRuleChanges {
  name?: string | null | undefined;
  threshold?: string | undefined;
  customers?: string[] | null | undefined;
  active?: boolean | undefined;
}

/** What a row says of what is compared with what. */
export interface RuleRow {
  id: string;
  name: string | null;
  kind: 'event' | 'usage';
  field: AlertField | null;
  measure: UsageMeasure | null;
  /** Of a cost. */
  currency: string | null;
  period: UsagePeriod;
  threshold: string;
  customers: string[] | null;
  event_type: string | null;
}

interface Row extends RuleRow {
  /** Its slug. */
  meter: string | null;
  tenant_id: string;
  active: boolean;
  created_at: Date;
  updated_at: Date;
}

/** What one tenant may have: each is looked at with each of its events. */
export const MAX_ALERT_RULES = 100;

/** Of the meter that a rule compares. */
const SLUG = '(select slug from meter where meter.id = meter_id)';

const COLUMNS = `id, tenant_id, name, kind, field, measure, currency, ${SLUG} as meter, period,
  trim_scale(threshold)::text as threshold, customers, event_type, active, created_at, updated_at`;

const RULES = byAge('alert-rules');

const state = (row: string) => `jsonb_strip_nulls(jsonb_build_object(
  'kind', ${row}.kind, 'field', ${row}.field, 'measure', ${row}.measure, 'currency', ${row}.currency,
  'meter', ${SLUG.replace('meter_id', `${row}.meter_id`)}, 'period', ${row}.period)) || jsonb_build_object(
  'name', ${row}.name, 'threshold', trim_scale(${row}.threshold)::text, 'customers', ${row}.customers,
  'eventType', ${row}.event_type, 'active', ${row}.active)`;

/**
 * Makes a rule. It holds from the first batch that enters after this returns.
 *
 * @throws {TidemarkError} `invalid_request` where there is no such meter, or it cannot be compared so; `limit_reached`,
 * `overloaded`.
 */
export async function createAlertRule(
  db: Queryable,
  context: TenantContext,
  rule: NewAlertRule,
  actor: Actor = COMMAND,
): Promise<AlertRule> {
  const meter = rule.meter === undefined ? null : await comparableMeter(db, context, rule.kind, rule.meter);
  const { rows } = await waitingForBatches(() =>
    db.query<Row>(
      `with made as (
         insert into alert_rule
           (id, tenant_id, name, kind, field, measure, period, threshold, customers, event_type, meter_id, history, currency)
         select $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $13, $14, $15
         where tenant_has_room($2, 'alert_rules', $11)
         returning *
       ), logged as (${writeEntries({
         from: 'made',
         action: 'alert_rule.created',
         after: state('made'),
         actor: '$12',
       })})
       select ${COLUMNS} from made`,
      [
        randomUUID(),
        context.tenantId,
        rule.name ?? null,
        rule.kind,
        rule.kind === 'event' ? (rule.field ?? null) : null,
        rule.kind === 'usage' ? (rule.measure ?? null) : null,
        rule.kind === 'usage' ? rule.period : null,
        rule.threshold,
        rule.customers ? [...new Set(rule.customers)] : null,
        rule.eventType ?? null,
        MAX_ALERT_RULES,
        JSON.stringify(actor),
        meter?.id ?? null,
        historyFor(context, rule, meter),
        rule.currency ?? null,
      ],
    ),
  ).catch((error) => {
    if (errorCode(error) !== METER_IN_USE) throw error;
    throw meterFault('unknown_meter', 'the meter has just been archived', error);
  });
  if (!rows[0]) throw new TidemarkError('limit_reached', `a tenant may have ${MAX_ALERT_RULES} alert rules`);
  return toRule(rows[0]);
}

/** What reads the single events that a sum begins with; null where the rollups have all that it needs, or nothing is summed. */
function historyFor({ tenantId }: TenantContext, rule: NewAlertRule, meter: Meter | null): string | null {
  if (rule.kind === 'event') return null;
  if (meter) return historyOf(tenantId, meter.definition);
  return rule.measure === 'cost' ? costHistoryOf(tenantId) : null;
}

/** @throws {TidemarkError} `invalid_request`. */
async function comparableMeter(
  db: Queryable,
  { tenantId }: TenantContext,
  kind: AlertRule['kind'],
  slug: string,
): Promise<Meter> {
  const meter = await findMeter(db, tenantId, slug).catch((error) => {
    if (!(error instanceof TidemarkError && error.code === 'not_found')) throw error;
    throw meterFault('unknown_meter', `there is no meter ${slug}`, error);
  });
  if (meter.archivedAt !== null) throw meterFault('unknown_meter', 'the meter is archived');
  const { aggregation } = meter.definition;
  const comparable: readonly string[] = METER_AGGREGATIONS[kind];
  if (comparable.includes(aggregation)) return meter;
  throw meterFault(
    'aggregation_not_comparable',
    `${aggregation} ${whyNot(kind, aggregation)}: rules of the kind ${kind} take a meter of ${comparable.join(', ')}`,
  );
}

function whyNot(kind: AlertRule['kind'], aggregation: Aggregation): string {
  if (kind === 'event') return 'is no number of a single event';
  if (aggregation === 'uniqueCount') return 'would need its members kept for each customer and period';
  return 'is not what events add up to';
}

function meterFault(code: string, message: string, cause?: unknown): TidemarkError {
  return new TidemarkError('invalid_request', `meter: ${message}`, {
    errors: [{ index: 0, pointer: '/meter', code, message }],
    cause,
  });
}

/** Rules by age, oldest first. @throws {TidemarkError} `cursor_invalid`. */
export async function listAlertRules(
  db: Queryable,
  context: TenantContext,
  query: { cursor?: string | undefined; limit: number },
): Promise<Page<AlertRule>> {
  const rows = {
    columns: COLUMNS,
    table: 'alert_rule',
    condition: 'tenant_id = $4',
    values: [context.tenantId],
  };
  const page = await listByAge<Row>(db, RULES, rows, query);
  return { data: page.data.map(toRule), nextCursor: page.nextCursor };
}

/** @throws {TidemarkError} `not_found`. */
export async function getAlertRule(db: Queryable, context: TenantContext, id: string): Promise<AlertRule> {
  const { rows } = await db.query<Row>(`select ${COLUMNS} from alert_rule where tenant_id = $1 and id = $2`, [
    context.tenantId,
    id,
  ]);
  return found(rows[0]);
}

/**
 * Changes a rule. Another threshold is another crossing: a customer that was told of may be told of again.
 *
 * @throws {TidemarkError} `not_found`, `overloaded`.
 */
export async function updateAlertRule(
  db: Queryable,
  context: TenantContext,
  id: string,
  changes: AlertRuleChanges,
  actor: Actor = COMMAND,
): Promise<AlertRule> {
  const { name, threshold, customers, active } = changes;
  const { rows } = await waitingForBatches(() =>
    db.query<Row>(
      `with old as (
         select * from alert_rule where tenant_id = $1 and id = $2 for update
       ), changed as (
         update alert_rule r set
           name = case when $3 then $4 else r.name end,
           threshold = coalesce($5, r.threshold),
           customers = case when $6 then $7 else r.customers end,
           active = coalesce($8, r.active),
           updated_at = now()
         from old where r.id = old.id returning r.*, ${state('old')} as before
       ), logged as (${writeEntries({
         from: 'changed',
         action: 'alert_rule.updated',
         before: 'before',
         after: `(${state('changed')})`,
         actor: '$9',
       })})
       select ${COLUMNS} from changed`,
      [
        context.tenantId,
        id,
        name !== undefined,
        name ?? null,
        threshold ?? null,
        customers !== undefined,
        customers ? [...new Set(customers)] : null,
        active ?? null,
        JSON.stringify(actor),
      ],
    ),
  );
  return found(rows[0]);
}

/** @throws {TidemarkError} `not_found`. */
export async function deleteAlertRule(
  db: Queryable,
  context: TenantContext,
  id: string,
  actor: Actor = COMMAND,
): Promise<void> {
  const { rows } = await waitingForBatches(() =>
    db.query(
      `with gone as (
         delete from alert_rule where tenant_id = $1 and id = $2 returning *
       ), logged as (${writeEntries({
         from: 'gone',
         action: 'alert_rule.deleted',
         before: state('gone'),
         after: `jsonb_build_object('deletedAt', iso8601(now()))`,
         actor: '$3',
       })})
       select id from gone`,
      [context.tenantId, id, JSON.stringify(actor)],
    ),
  );
  if (!rows[0]) throw new TidemarkError('not_found', NO_SUCH);
  // Apart from the change itself, which others wait for. What is left behind here is of no rule any more.
  await db.query('delete from usage_tally where rule_id = $1', [id]);
}

const NO_SUCH = 'there is no such alert rule';

function found(row: Row | undefined): AlertRule {
  if (!row) throw new TidemarkError('not_found', NO_SUCH);
  return toRule(row);
}

function toRule(row: Row): AlertRule {
  return {
    ...comparisonOf(row),
    id: row.id,
    tenantId: row.tenant_id,
    name: row.name,
    threshold: row.threshold,
    customers: row.customers,
    eventType: row.event_type,
    active: row.active,
    createdAt: row.created_at.toISOString(),
    updatedAt: row.updated_at.toISOString(),
  };
}

function comparisonOf({ kind, field, measure, currency, meter, period }: Row): Comparison {
  if (meter !== null) return kind === 'event' ? { kind, meter } : { kind, meter, period };
  const ofCost = currency === null ? {} : { currency };
  return kind === 'event'
    ? { kind, field: field!, ...ofCost }
    : { kind, measure: measure!, ...ofCost, period };
}
