import type { Queryable } from '../../ground/db/queryable.ts';
import { toUnits } from '../../model/decimal.ts';
import type { RuleRow } from './alertRules.ts';
import type { AlertField, MessageType, UsageMeasure, UsagePeriod } from './messageTypes.ts';

interface Rule {
  id: string;
  name: string | null;
  /** A plain decimal. */
  threshold: string;
  /** Null: all. */
  customers: ReadonlySet<string> | null;
  eventType: string | null;
}

export interface EventRule extends Rule {
  field: AlertField;
  /** The threshold in units of 10⁻¹⁸. */
  thresholdUnits: bigint;
}

export interface UsageRule extends Rule {
  measure: UsageMeasure;
  period: UsagePeriod;
}

/** What batches have to tell of one tenant. */
export interface TenantInterest {
  records: boolean;
  eventRules: EventRule[];
  usageRules: UsageRule[];
}

/** Who listens, at one version. Never changed. */
export interface Listeners {
  version: string;
  /** Only those of whom there is something to tell. */
  tenants: ReadonlyMap<string, TenantInterest>;
}

interface Row {
  version: string;
  subscriptions: { tenant: string; types: MessageType[] }[];
  rules: (RuleRow & { tenant: string })[];
}

/**
 * Who listens to what batches have to tell, as last heard from the database. Writers go by it, and the database checks
 * its version (`enter_batch`): a batch whose writer knows less, or more, is refused before it is stored.
 */
export class Interest {
  private known: Listeners = { version: '-1', tenants: new Map() };

  get current(): Listeners {
    return this.known;
  }

  /** Asks the database: one statement, so the version is that of what is read. */
  async reload(db: Queryable): Promise<void> {
    const { rows } = await db.query<Row>(
      `select interest_version as version,
         (select coalesce(jsonb_agg(jsonb_build_object('tenant', tenant_id, 'types', message_types)), '[]')
          from subscription
          where active and message_types && array['record.processed', 'alert.triggered', 'usage.threshold']
         ) as subscriptions,
         (select coalesce(jsonb_agg(jsonb_build_object('id', id, 'tenant', tenant_id, 'name', name, 'kind', kind,
                   'field', field, 'measure', measure, 'period', period, 'threshold', trim_scale(threshold)::text,
                   'customers', customers, 'event_type', event_type) order by created_at, id), '[]')
          from alert_rule where active
         ) as rules
       from window_state`,
    );
    this.known = listenersOf(rows[0]!);
  }
}

function listenersOf({ version, subscriptions, rules }: Row): Listeners {
  const heard = new Map<string, Set<MessageType>>();
  for (const { tenant, types } of subscriptions) {
    heard.set(tenant, new Set([...(heard.get(tenant) ?? []), ...types]));
  }
  const tenants = new Map<string, TenantInterest>();
  for (const [tenant, types] of heard) {
    const own = rules.filter((rule) => rule.tenant === tenant);
    const interest: TenantInterest = {
      records: types.has('record.processed'),
      eventRules: types.has('alert.triggered')
        ? own.filter(({ kind }) => kind === 'event').map(eventRule)
        : [],
      usageRules: types.has('usage.threshold')
        ? own.filter(({ kind }) => kind === 'usage').map(usageRule)
        : [],
    };
    if (interest.records || interest.eventRules.length > 0 || interest.usageRules.length > 0) {
      tenants.set(tenant, interest);
    }
  }
  return { version, tenants };
}

function ruleOf({ id, name, threshold, customers, event_type }: Row['rules'][number]): Rule {
  return { id, name, threshold, customers: customers && new Set(customers), eventType: event_type };
}

function eventRule(row: Row['rules'][number]): EventRule {
  return { ...ruleOf(row), field: row.field, thresholdUnits: toUnits(row.threshold) };
}

function usageRule(row: Row['rules'][number]): UsageRule {
  return { ...ruleOf(row), measure: row.measure, period: row.period };
}
