import { compareDecimals } from '../../../model/plainDecimal.ts';
import type { UsageEvent } from '../../../model/usageEvent.ts';
import { WINDOW_MICROS } from '../../../model/window.ts';
import { memberKey } from '../rules/memberKey.ts';
import type { IgnoredReason, Outcome } from '../rules/outcome.ts';
import { ExactSum } from './exactSum.ts';
import type { FedSeries, SeriesOfTenants } from './fedSeries.ts';
import { TokenSums } from './tokenSums.ts';

/** What a batch adds to a series in one window, for one customer and one list of dimension values: a row of meter_part. */
export interface MeterPart {
  seriesId: number;
  /** Start of the window, in µs since the epoch. */
  bucketMicros: number;
  tenantId: string;
  customerId: string;
  dims: (string | null)[];
  events: number;
  counted: number;
  /** Plain decimals; null where there is no value. Of AI usage the sum is packed (packCounts.ts), and the others are null. */
  sum: string | null;
  min: string | null;
  max: string | null;
  /** Time (µs since the epoch), id and value of the last event that has one. */
  latestAtMicros: number | null;
  latestId: string | null;
  latest: string | null;
  ignoredMissing: number;
  ignoredNull: number;
  ignoredType: number;
  ignoredRange: number;
  /** Of a distinct series, each once, 16 bytes each; null where there is none. */
  members: Buffer[] | null;
}

/** In the order in which `CopyEncoder.appendPart` writes them. */
export const PART_COLUMNS = [
  'series_id',
  'bucket',
  'tenant_id',
  'customer_id',
  'dims',
  'events',
  'counted',
  'sum',
  'min',
  'max',
  'latest_at',
  'latest_id',
  'latest',
  'ignored_missing',
  'ignored_null',
  'ignored_type',
  'ignored_range',
  'members',
] as const;

const IGNORED = {
  missing: 'ignoredMissing',
  null: 'ignoredNull',
  not_a_number: 'ignoredType',
  not_a_scalar: 'ignoredType',
  out_of_range: 'ignoredRange',
} as const satisfies Record<IgnoredReason, keyof MeterPart>;

type Match = Extract<Outcome, { matches: true }>;

/**
 * What some rows add to the series that they feed.
 *
 * @param rows those that are stored, and no others: a duplicate has been counted.
 * @returns the parts of each series together; nothing where no tenant has meters.
 */
export function partsOf(rows: readonly UsageEvent[], fed: SeriesOfTenants): MeterPart[] {
  if (fed.isEmpty) return [];
  const growing = new Map<FedSeries, Map<string, GrowingPart>>();
  for (const row of rows) {
    const series = fed.of(row);
    if (series.length === 0) continue;
    const bucket = Math.floor(row.tsMicros / WINDOW_MICROS);
    let paths: string | undefined;
    let dims: (string | null)[] = [];
    let key = '';
    for (const one of series) {
      const known = one.paths === paths ? dims : undefined;
      const outcome = one.rule.evaluate(row, known);
      if (!outcome.matches) continue;
      if (known === undefined) {
        paths = one.paths;
        dims = outcome.dims;
        key = keyOf(bucket, row.customerId, dims);
      }
      let parts = growing.get(one);
      if (parts === undefined) {
        parts = new Map();
        growing.set(one, parts);
      }
      let part = parts.get(key);
      if (part === undefined) {
        part = new GrowingPart(one.id, bucket * WINDOW_MICROS, row, dims);
        parts.set(key, part);
      }
      part.add(row, outcome);
    }
  }
  return [...growing.values()].flatMap((parts) => [...parts.values()].map((part) => part.end()));
}

/** No text holds a NUL, so no two places share a key. */
function keyOf(bucket: number, customerId: string, dims: readonly (string | null)[]): string {
  let key = `${bucket}\0${customerId}`;
  for (const dim of dims) key += dim === null ? '\0-' : `\0=${dim}`;
  return key;
}

/** A part while rows are added. */
class GrowingPart {
  private readonly part: MeterPart;
  /** Null until there is a second value, or a second member: many parts have one. */
  private sum: ExactSum | null = null;
  private tokens: TokenSums | null = null;
  private members: Set<string> | null = null;
  private member: string | null = null;

  constructor(
    seriesId: number,
    bucketMicros: number,
    { tenantId, customerId }: UsageEvent,
    dims: (string | null)[],
  ) {
    this.part = {
      seriesId,
      bucketMicros,
      tenantId,
      customerId,
      dims,
      events: 0,
      counted: 0,
      sum: null,
      min: null,
      max: null,
      latestAtMicros: null,
      latestId: null,
      latest: null,
      ignoredMissing: 0,
      ignoredNull: 0,
      ignoredType: 0,
      ignoredRange: 0,
      members: null,
    };
  }

  add(row: UsageEvent, { value, member, ignored, counts }: Match): void {
    const { part } = this;
    part.events++;
    if (ignored !== null) {
      part[IGNORED[ignored]]++;
      return;
    }
    part.counted++;
    if (member !== null) this.addMember(member);
    if (value !== null) this.addValue(row, value);
    if (counts != null) {
      this.tokens ??= new TokenSums();
      this.tokens.add(counts);
    }
  }

  end(): MeterPart {
    const { part } = this;
    if (this.sum !== null) part.sum = this.sum.toString();
    if (this.tokens !== null) part.sum = this.tokens.toString();
    if (this.members !== null) part.members = Array.from(this.members, memberKey);
    else if (this.member !== null) part.members = [memberKey(this.member)];
    return part;
  }

  private addMember(member: string): void {
    if (this.members !== null) this.members.add(member);
    else if (this.member === null) this.member = member;
    else if (this.member !== member) this.members = new Set([this.member, member]);
  }

  private addValue({ tsMicros, eventId }: UsageEvent, value: string): void {
    const { part } = this;
    const at = part.latestAtMicros;
    if (at === null) {
      part.sum = value;
      part.min = value;
      part.max = value;
    } else {
      if (this.sum === null) {
        this.sum = new ExactSum();
        this.sum.add(part.sum!);
      }
      this.sum.add(value);
      if (compareDecimals(value, part.min!) < 0) part.min = value;
      if (compareDecimals(value, part.max!) > 0) part.max = value;
    }
    if (at === null || tsMicros > at || (tsMicros === at && eventId > part.latestId!)) {
      part.latestAtMicros = tsMicros;
      part.latestId = eventId;
      part.latest = value;
    }
  }
}
