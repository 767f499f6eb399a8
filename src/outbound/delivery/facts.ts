import { INTEREST_UNKNOWN } from '../../ground/db/sqlstate.ts';
import { parseDecimal } from '../../model/decimal.ts';
import { formatTimestamp } from '../../model/timestamp.ts';
import { signedValue, type UsageEvent } from '../../model/usageEvent.ts';
import { rateEvent } from '../../sums/costs/rating/rateEvent.ts';
import { amountOf, priceUnits } from '../../sums/costs/rating/unitPrices.ts';
import type { EventRule, TenantInterest, UnknownRule, UsageRule } from './interest.ts';
import { periodEnd, periodStart } from './usagePeriod.ts';

/** What a batch has to tell, as `write_messages` takes it. `n` is the place of the event in the batch. */
export interface Facts {
  records: RecordFact[];
  usage: UsageFact[];
  ready: ReadyMessage[];
}

interface RecordFact {
  n: number;
  tenant: string;
  customer: string;
  key: string;
  type: string;
  value: string;
  ts: string;
  body: object;
}

export interface UsageFact {
  n: number;
  rule: string;
  customer: string;
  start: string;
  end: string;
  add: string;
}

interface ReadyMessage {
  n: number;
  tenant: string;
  customer: string;
  type: string;
  body: object;
}

/** An event that a rule is about of which this version does not know what it compares: a later one can store it. */
export class UnknownRuleError extends Error {
  readonly code = INTEREST_UNKNOWN;

  constructor({ id, says }: UnknownRule) {
    super(
      `this version does not know what the alert rule ${id} compares (${says}): the database is of a later one`,
    );
    this.name = 'UnknownRuleError';
  }
}

/** What a rule goes by that is about costs. */
type CostMeasure = Extract<UsageRule['measured'], { currency: string }>;

/** What a batch has of a customer in a period, while it is added up, in units of 10⁻²⁴: costs have the most digits. */
interface Tally {
  fact: UsageFact;
  units: bigint;
}

/**
 * What has to be told of some rows: messages that are ready, and what the database makes messages of.
 *
 * @returns null for nothing, which is what most batches have.
 * @throws {UnknownRuleError} for an event of which it cannot be told.
 */
export function factsOf(
  rows: readonly UsageEvent[],
  tenants: ReadonlyMap<string, TenantInterest>,
): Facts | null {
  if (tenants.size === 0) return null;
  const facts: Facts = { records: [], usage: [], ready: [] };
  const tallies = new Map<string, Tally>();
  for (const [n, row] of rows.entries()) {
    const interest = tenants.get(row.tenantId);
    if (interest === undefined) continue;
    for (const rule of interest.unknownRules) if (isAbout(rule, row)) throw new UnknownRuleError(rule);
    if (interest.records && (row.eventType === 'positive' || row.eventType === 'negative')) {
      facts.records.push(recordOf(row, n));
    }
    for (const rule of interest.eventRules) {
      if (!isAbout(rule, row)) continue;
      const value = comparedValueOf(rule, row);
      if (value !== null && exceeds(rule, value)) facts.ready.push(alertOf(rule, row, value, n));
    }
    for (const rule of interest.usageRules) {
      if (!isAbout(rule, row)) continue;
      const measured = measuredOf(rule, row);
      if (measured !== null) addUp(tallies, rule, row, priceUnits(measured), n);
    }
  }
  for (const { fact, units } of tallies.values()) facts.usage.push({ ...fact, add: amountOf(units) });
  const nothing = facts.records.length === 0 && facts.usage.length === 0 && facts.ready.length === 0;
  return nothing ? null : facts;
}

function recordOf(row: UsageEvent, n: number): RecordFact {
  const time = formatTimestamp(row.tsMicros);
  return {
    n,
    tenant: row.tenantId,
    customer: row.customerId,
    key: row.reference === null ? '' : `=${row.reference}`,
    type: row.eventType,
    value: row.value ?? '0',
    ts: time,
    body: {
      recordId: row.externalId ?? row.eventId,
      time,
      sourceId: row.sourceId,
      destinationId: row.customerId,
      type: row.eventType,
      value: row.value,
      unit: row.unit,
      reference: row.reference,
    },
  };
}

function isAbout(rule: EventRule | UsageRule | UnknownRule, row: UsageEvent): boolean {
  return (
    (rule.customers === null || rule.customers.has(row.customerId)) &&
    (rule.eventType === null || rule.eventType === row.eventType)
  );
}

/** What is compared of an event, as it is told; null where there is nothing. */
function comparedValueOf({ measured }: EventRule, row: UsageEvent): string | number | null {
  if (typeof measured === 'string') return row[measured];
  if ('currency' in measured) return costOf(measured, row);
  const outcome = measured.rule.evaluate(row);
  return outcome.matches ? outcome.value : null;
}

function exceeds(rule: EventRule, value: string | number): boolean {
  return priceUnits(typeof value === 'string' ? value : parseDecimal(value)!) > rule.thresholdUnits;
}

/** What an event costs; null where it has no price in the currency, or its tokens are unknown and the price is of them. */
function costOf({ book, currency }: CostMeasure, row: UsageEvent): string | null {
  return rateEvent(row, book, currency)?.amount ?? null;
}

function alertOf(rule: EventRule, row: UsageEvent, value: string | number, n: number): ReadyMessage {
  const { id, name, threshold, measured } = rule;
  const { of, field, beside } = toldOf(measured, value);
  return {
    n,
    tenant: row.tenantId,
    customer: row.customerId,
    type: 'alert.triggered',
    body: {
      rule: { id, name, ...of, threshold },
      event: {
        eventId: row.externalId ?? row.eventId,
        customerId: row.customerId,
        timestamp: formatTimestamp(row.tsMicros),
        eventType: row.eventType,
        ...field,
      },
      ...beside,
    },
  };
}

/** How a message tells what is compared, and the value: as a field of the event, or beside it. */
function toldOf(
  measured: EventRule['measured'],
  value: string | number,
): Record<'of' | 'field' | 'beside', object> {
  if (typeof measured === 'string') {
    return { of: { field: measured }, field: { [measured]: value }, beside: {} };
  }
  if ('currency' in measured) {
    const { currency, version: priceVersion } = measured;
    return { of: { field: 'cost', currency }, field: { cost: value }, beside: { priceVersion } };
  }
  return { of: { meter: measured.slug }, field: {}, beside: { value } };
}

function addUp(
  tallies: Map<string, Tally>,
  rule: UsageRule,
  row: UsageEvent,
  units: bigint,
  n: number,
): void {
  const start = periodStart(rule.period, row.tsMicros);
  const key = `${rule.id} ${start} ${row.customerId}`;
  const tally = tallies.get(key);
  if (tally === undefined) {
    const fact = {
      n,
      rule: rule.id,
      customer: row.customerId,
      start: new Date(start).toISOString(),
      end: new Date(periodEnd(rule.period, start)).toISOString(),
      add: '',
    };
    tallies.set(key, { fact, units });
    return;
  }
  tally.fact.n = n;
  if (!isGreatest(rule)) tally.units += units;
  else if (units > tally.units) tally.units = units;
}

/** Whether the greatest of its values counts, and not their sum. */
function isGreatest({ measured }: UsageRule): boolean {
  return typeof measured !== 'string' && 'aggregation' in measured && measured.aggregation === 'max';
}

/** What an event adds; null where a meter counts nothing of it, or it has no cost that is known. */
function measuredOf({ measured }: UsageRule, row: UsageEvent): string | null {
  switch (measured) {
    case 'calls':
      return '1';
    case 'tokens':
      return String(row.tokens ?? 0);
    case 'value':
      return signedValue(row);
    default: {
      if ('currency' in measured) return costOf(measured, row);
      const outcome = measured.rule.evaluate(row);
      if (!outcome.matches) return null;
      return measured.aggregation === 'count' ? '1' : outcome.value;
    }
  }
}
