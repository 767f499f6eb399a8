import { randomUUID } from 'node:crypto';
import { type Actor, COMMAND, writeEntries } from '../../access/tenancy/auditLog.ts';
import type { TenantContext } from '../../access/tenancy/tenantContext.ts';
import { byAge, listByAge } from '../../ground/db/listByAge.ts';
import type { Page } from '../../ground/db/paging.ts';
import type { Queryable } from '../../ground/db/queryable.ts';
import { TidemarkError } from '../../model/errors.ts';
import { changingInterest } from './changingInterest.ts';
import type { AlertField, UsageMeasure, UsagePeriod } from './messageTypes.ts';

/** What is compared: a field of each event, or a sum per customer and period of UTC. */
export type Comparison =
  | { kind: 'event'; field: AlertField }
  | { kind: 'usage'; measure: UsageMeasure; period: UsagePeriod };

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
  field: AlertField;
  measure: UsageMeasure;
  period: UsagePeriod;
  threshold: string;
  customers: string[] | null;
  event_type: string | null;
}

interface Row extends RuleRow {
  tenant_id: string;
  active: boolean;
  created_at: Date;
  updated_at: Date;
}

/** What one tenant may have: each is looked at with each of its events. */
export const MAX_ALERT_RULES = 100;

const COLUMNS = `id, tenant_id, name, kind, field, measure, period, trim_scale(threshold)::text as threshold, customers,
  event_type, active, created_at, updated_at`;

const RULES = byAge('alert-rules');

const state = (row: string) => `jsonb_strip_nulls(jsonb_build_object(
  'kind', ${row}.kind, 'field', ${row}.field, 'measure', ${row}.measure, 'period', ${row}.period)) || jsonb_build_object(
  'name', ${row}.name, 'threshold', trim_scale(${row}.threshold)::text, 'customers', ${row}.customers,
  'eventType', ${row}.event_type, 'active', ${row}.active)`;

/**
 * Makes a rule. It holds from the first batch that enters after this returns.
 *
 * @throws {TidemarkError} `limit_reached`, `overloaded`.
 */
export async function createAlertRule(
  db: Queryable,
  context: TenantContext,
  rule: NewAlertRule,
  actor: Actor = COMMAND,
): Promise<AlertRule> {
  const { rows } = await changingInterest(() =>
    db.query<Row>(
      `with made as (
         insert into alert_rule
           (id, tenant_id, name, kind, field, measure, period, threshold, customers, event_type)
         select $1, $2, $3, $4, $5, $6, $7, $8, $9, $10
         where (select count(*) from alert_rule where tenant_id = $2) < $11
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
        rule.kind === 'event' ? rule.field : null,
        rule.kind === 'usage' ? rule.measure : null,
        rule.kind === 'usage' ? rule.period : null,
        rule.threshold,
        rule.customers ? [...new Set(rule.customers)] : null,
        rule.eventType ?? null,
        MAX_ALERT_RULES,
        JSON.stringify(actor),
      ],
    ),
  );
  if (!rows[0]) throw new TidemarkError('limit_reached', `a tenant may have ${MAX_ALERT_RULES} alert rules`);
  return toRule(rows[0]);
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
  const { rows } = await changingInterest(() =>
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
  const { rows } = await changingInterest(() =>
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
  const { kind, field, measure, period } = row;
  return {
    ...(kind === 'event' ? { kind, field } : { kind, measure, period }),
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
