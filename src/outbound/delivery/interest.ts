import type { Queryable } from '../../ground/db/queryable.ts';
import { PRICE_COLUMNS } from '../../sums/costs/catalog/price.ts';
import { type PriceListRow, PricesOfTenants, type RatedBy } from '../../sums/costs/rating/pricesOfTenants.ts';
import { priceUnits } from '../../sums/costs/rating/unitPrices.ts';
import { type Aggregation, seriesFromJson } from '../../sums/meters/definition/meterDefinition.ts';
import { SeriesOfTenants, type SeriesRow } from '../../sums/meters/feed/fedSeries.ts';
import { SeriesRule } from '../../sums/meters/rules/evaluateEvent.ts';
import type { RuleRow } from './alertRules.ts';
import type { AlertField, MessageType, UsageAggregation, UsageMeasure, UsagePeriod } from './messageTypes.ts';

interface Rule {
  id: string;
  name: string | null;
  /** A plain decimal. */
  threshold: string;
  /** Null: all. */
  customers: ReadonlySet<string> | null;
  eventType: string | null;
}

/** A meter as rules look at events with it. */
interface ComparedMeter<Of extends Aggregation = Aggregation> {
  slug: string;
  aggregation: Of;
  rule: Pick<SeriesRule, 'evaluate'>;
}

/** What events cost in a currency, by the prices of their tenant. */
interface ComparedCost extends RatedBy {
  currency: string;
}

/** A field of each event is compared, what it costs, or the value that a meter has of it. */
export interface EventRule extends Rule {
  measured: Exclude<AlertField, 'cost'> | ComparedCost | ComparedMeter;
  /** The threshold in units of 10⁻²⁴, the last digit that a cost may have. */
  thresholdUnits: bigint;
}

export interface UsageRule extends Rule {
  measured: Exclude<UsageMeasure, 'cost'> | ComparedCost | ComparedMeter<UsageAggregation>;
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
  /** What batches feed beside. */
  series: SeriesOfTenants;
  /** What events cost, of the tenants that have a rule for it. */
  prices: PricesOfTenants;
}

interface Row {
  version: string;
  subscriptions: { tenant: string; types: MessageType[] }[];
  /** Of a meter its series, with its definition as text, whose numbers have all their digits. */
  rules: (RuleRow & {
    tenant: string;
    meter: { slug: string; aggregation: Aggregation; series: string } | null;
  })[];
  /** The ids of all series that live, and those of them that were not known. */
  live: number[];
  added: SeriesRow[];
  prices: PriceListRow[];
}

/**
 * Who listens to what batches have to tell, and what they feed of meters, as last heard from the database. Writers go by it, and the database checks
 * its version (`begin_batch`): a batch whose writer knows less, or more, is refused before it is stored.
 */
export class Interest {
  private known: Listeners = {
    version: '-1',
    tenants: new Map(),
    series: SeriesOfTenants.NONE,
    prices: PricesOfTenants.NONE,
  };

  get current(): Listeners {
    return this.known;
  }

  /** Asks the database: one statement, so the version is that of what is read. */
  async reload(db: Queryable): Promise<void> {
    const { series, prices } = this.known;
    const { rows } = await db.query<Row>(
      `select interest_version as version,
         (select coalesce(jsonb_agg(jsonb_build_object('tenant', tenant_id, 'types', message_types)), '[]')
          from subscription
          where active and message_types && array['record.processed', 'alert.triggered', 'usage.threshold']
         ) as subscriptions,
         (select coalesce(jsonb_agg(jsonb_build_object('id', id, 'tenant', tenant_id, 'name', name, 'kind', kind,
                   'field', field, 'measure', measure, 'currency', currency, 'period', period,
                   'threshold', trim_scale(threshold)::text, 'customers', customers, 'event_type', event_type, 'meter', (
                     select jsonb_build_object('slug', slug, 'aggregation', aggregation, 'series', s.definition::text)
                     from meter m join meter_series s on s.id = m.series_id where m.id = meter_id))
                 order by created_at, id), '[]')
          from alert_rule where active
         ) as rules,
         (select coalesce(jsonb_agg(id), '[]') from meter_series where retired_at is null) as live,
         (select coalesce(jsonb_agg(jsonb_build_object('id', id, 'tenant', tenant_id, 'definition', definition::text)), '[]')
          from meter_series where retired_at is null and id > $1
         ) as added,
         (select coalesce(jsonb_agg(jsonb_build_object('tenant', l.tenant_id, 'version', l.version, 'prices',
                   case when ($2::jsonb ->> l.tenant_id)::bigint = l.version then null else (
                     select coalesce(jsonb_agg(to_jsonb(p)), '[]') from (
                       select ${PRICE_COLUMNS} from price where tenant_id = l.tenant_id and superseded_in is null) as p)
                   end)), '[]')
          from price_list l
          where exists (select from alert_rule r where r.tenant_id = l.tenant_id and r.active and 'cost' in (r.field, r.measure))
         ) as prices
       from window_state`,
      [series.lastId, prices.versions],
    );
    const { live, added, prices: lists } = rows[0]!;
    const rated = prices.next(lists);
    this.known = { ...listenersOf(rows[0]!, rated), series: series.next(live, added), prices: rated };
  }
}

function listenersOf(
  { version, subscriptions, rules }: Row,
  prices: PricesOfTenants,
): Omit<Listeners, 'series' | 'prices'> {
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
        ? own.filter(({ kind }) => kind === 'event').map((row) => eventRule(row, prices))
        : [],
      usageRules: types.has('usage.threshold')
        ? own.filter(({ kind }) => kind === 'usage').map((row) => usageRule(row, prices))
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

function eventRule(row: Row['rules'][number], prices: PricesOfTenants): EventRule {
  const { field, meter } = row;
  const measured = meter ? compared(meter) : field === 'cost' ? costOf(row, prices) : field!;
  return { ...ruleOf(row), measured, thresholdUnits: priceUnits(row.threshold) };
}

function usageRule(row: Row['rules'][number], prices: PricesOfTenants): UsageRule {
  const { measure, meter, period } = row;
  const measured = meter
    ? (compared(meter) as ComparedMeter<UsageAggregation>) // createAlertRule takes no others
    : measure === 'cost'
      ? costOf(row, prices)
      : measure!;
  return { ...ruleOf(row), measured, period };
}

/** Dimensions are not looked at. */
function compared({ series, ...meter }: NonNullable<Row['rules'][number]['meter']>): ComparedMeter {
  return { ...meter, rule: new SeriesRule({ ...seriesFromJson(series), paths: [] }) };
}

function costOf({ tenant, currency }: Row['rules'][number], prices: PricesOfTenants): ComparedCost {
  return { currency: currency!, ...prices.of(tenant) };
}
