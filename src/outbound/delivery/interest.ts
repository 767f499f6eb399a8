import type { Queryable } from '../../ground/db/queryable.ts';
import { PRICE_COLUMNS } from '../../sums/costs/catalog/price.ts';
import { type PriceListRow, PricesOfTenants, type RatedBy } from '../../sums/costs/rating/pricesOfTenants.ts';
import { priceUnits } from '../../sums/costs/rating/unitPrices.ts';
import { type Aggregation, seriesFromJson } from '../../sums/meters/definition/meterDefinition.ts';
import { SeriesOfTenants, type SeriesRow } from '../../sums/meters/feed/fedSeries.ts';
import { SeriesRule } from '../../sums/meters/rules/evaluateEvent.ts';
import type { RuleRow } from './alertRules.ts';
import {
  ALERT_FIELDS,
  type AlertField,
  METER_AGGREGATIONS,
  type MessageType,
  USAGE_MEASURES,
  USAGE_PERIODS,
  type UsageAggregation,
  type UsageMeasure,
  type UsagePeriod,
} from './messageTypes.ts';

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

/** A rule of which this version cannot tell what it compares: the database has had migrations of a later one. */
export interface UnknownRule extends Rule {
  /** As its row says it. */
  says: string;
}

/** What batches have to tell of one tenant. */
export interface TenantInterest {
  records: boolean;
  eventRules: EventRule[];
  usageRules: UsageRule[];
  /** No event that they are about may be stored by this version: nobody would be told of it. */
  unknownRules: UnknownRule[];
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
    const own = rules.filter((rule) => rule.tenant === tenant && isHeard(rule, types));
    const known = own.filter(isKnown);
    const interest: TenantInterest = {
      records: types.has('record.processed'),
      eventRules: known.filter(({ kind }) => kind === 'event').map((row) => eventRule(row, prices)),
      usageRules: known.filter(({ kind }) => kind === 'usage').map((row) => usageRule(row, prices)),
      unknownRules: own.filter((row) => !isKnown(row)).map(unknownRule),
    };
    if (interest.records || own.length > 0) tenants.set(tenant, interest);
  }
  return { version, tenants };
}

function ruleOf({ id, name, threshold, customers, event_type }: Row['rules'][number]): Rule {
  return { id, name, threshold, customers: customers && new Set(customers), eventType: event_type };
}

/** The messages by which rules of a kind tell. */
const TOLD_BY: Readonly<Record<RuleRow['kind'], MessageType>> = {
  event: 'alert.triggered',
  usage: 'usage.threshold',
};

/** Whether somebody listens to what a rule tells: of a kind that this version does not know, somebody may. */
function isHeard({ kind }: Row['rules'][number], types: ReadonlySet<MessageType>): boolean {
  return !Object.hasOwn(TOLD_BY, kind) || types.has(TOLD_BY[kind]);
}

/** Whether this version can tell what a rule compares; the table says what it may be, and later ones more than that. */
function isKnown({ kind, field, measure, meter, period }: Row['rules'][number]): boolean {
  if (!Object.hasOwn(TOLD_BY, kind) || (kind === 'usage' && !USAGE_PERIODS.includes(period))) return false;
  if (meter !== null) return (METER_AGGREGATIONS[kind] as readonly Aggregation[]).includes(meter.aggregation);
  return kind === 'event' ? ALERT_FIELDS.includes(field!) : USAGE_MEASURES.includes(measure!);
}

function unknownRule(row: Row['rules'][number]): UnknownRule {
  const { kind, field, measure, period, meter } = row;
  const says = JSON.stringify({ kind, field, measure, period, meter: meter?.aggregation });
  return { ...ruleOf(row), says };
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
