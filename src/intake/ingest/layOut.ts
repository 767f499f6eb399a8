import type { EventChunk } from '../../ground/db/columnstore.ts';
import type { UsageEvent } from '../../model/usageEvent.ts';
import { utcDay } from '../../model/utcDay.ts';

/** What a part of a tenant's rows is to have about, to make one segment. */
export const PART_ROWS = 900;
/** What the server puts into one segment at most. */
const SEGMENT_ROWS = 1_000;
/** Rows of a tenant that lie further apart (µs) are kept together by time, not by customer. */
const NEAR_MICROS = 120_000_000;
/** Into so many COPYs a batch is divided at most. */
export const MOST_PARTS = 8;

/** The rows of a batch by the way that they are written. Both may be empty. */
export interface Layout {
  /**
   * What goes into columns, a COPY each. By day, so that two batches lock chunks in the same order; a tenant's rows of a
   * day in one piece. The server puts them in order of time.
   */
  columns: UsageEvent[][];
  /** What goes into rows, in the order of the batch. */
  rows: UsageEvent[];
  /** The chunks of the columns: to be locked before they are written. */
  chunks: string[];
  /** Whether there would be columns, or more of them, had some day a chunk. */
  lacksChunk: boolean;
}

/** What is worth columns. */
export interface ColumnsRule {
  /** Rows of a tenant on a day; Infinity: none are. */
  fromRows: number;
  /** The oldest day (µs since the epoch, UTC) that columns are written into. */
  sinceMicros: number;
  /** How long a time (µs) a segment may be of: whoever reads a part of it unpacks it all. */
  spanMicros: number;
  /** The chunk of a moment where it is known to be there: only such may get columns. */
  chunkAt(micros: number): EventChunk | undefined;
}

/**
 * Which rows of a batch are worth a segment of the columnstore: those of tenants with at least `fromRows` on a day (UTC,
 * which is what a chunk holds), if they are twice as
 * many together, since a COPY into columns has a cost of its own (docs/adr/0036).
 *
 * Where a tenant has more at about the same time than a segment takes, its customers are divided between COPYs: a segment
 * is then of some of them, and a read of one customer unpacks one segment of the batch instead of all.
 *
 * A chunk is made by rows, and has to be there before columns come: else the rows are lost (ground/db/columnstore.ts).
 *
 * Older days have been packed, or will be soon: a few rows beside their columns are packed by themselves, while columns
 * out of order have the whole chunk packed again. What lies far apart, as late events of an hour do, is rows as well: a
 * few hundred such segments over each other, and each window that is read would unpack them all.
 */
export function layOut(rows: UsageEvent[], rule: ColumnsRule): Layout {
  const { fromRows, sinceMicros, spanMicros } = rule;
  const none = { columns: [], rows, chunks: [], lacksChunk: false };
  if (rows.length < 2 * fromRows) return none;
  const worthy = groupsOf(rows).filter(
    (group) =>
      group.length >= fromRows &&
      group[0]!.tsMicros >= sinceMicros &&
      spanOf(group) <= spanMicros * Math.ceil(group.length / SEGMENT_ROWS),
  );
  if (countOf(worthy) < 2 * fromRows) return none;
  const chunks = new Set<string>();
  const groups = worthy.filter((group) => addChunks(group, rule, chunks));
  const lacksChunk = groups.length < worthy.length;
  const chosen = countOf(groups);
  if (chosen < 2 * fromRows) return { ...none, lacksChunk };
  const columns: UsageEvent[][] = [];
  for (const group of groups.sort(([a], [b]) => utcDay(a!.tsMicros) - utcDay(b!.tsMicros))) {
    for (const [i, part] of divided(group).entries()) {
      if (columns[i]) columns[i].push(...part);
      else columns[i] = part;
    }
  }
  const found = { columns, chunks: [...chunks], lacksChunk };
  if (chosen === rows.length) return { ...found, rows: [] };
  const inColumns = new Set(columns.flat());
  return { ...found, rows: rows.filter((row) => !inColumns.has(row)) };
}

/** Adds the chunks of a group, which is one as a rule. @returns whether all of them are there: else it adds none. */
function addChunks(group: UsageEvent[], { chunkAt }: ColumnsRule, chunks: Set<string>): boolean {
  const found = new Set<string>();
  let chunk: EventChunk | undefined;
  for (const { tsMicros } of group) {
    if (!chunk || tsMicros < chunk.fromMicros || tsMicros >= chunk.toMicros) {
      chunk = chunkAt(tsMicros);
      if (!chunk) return false;
      found.add(chunk.relation);
    }
  }
  for (const relation of found) chunks.add(relation);
  return true;
}

function countOf(groups: UsageEvent[][]): number {
  return groups.reduce((sum, group) => sum + group.length, 0);
}

/** The rows of each tenant and day. */
function groupsOf(rows: UsageEvent[]): UsageEvent[][] {
  const groups: UsageEvent[][] = [];
  const tenants = new Map<string, Map<number, UsageEvent[]>>();
  for (const row of rows) {
    let days = tenants.get(row.tenantId);
    if (!days) {
      days = new Map();
      tenants.set(row.tenantId, days);
    }
    const day = utcDay(row.tsMicros);
    let group = days.get(day);
    if (!group) {
      group = [];
      days.set(day, group);
      groups.push(group);
    }
    group.push(row);
  }
  return groups;
}

/** The rows of a group in parts of about the same size, those of a customer in one of them. */
function divided(group: UsageEvent[]): UsageEvent[][] {
  const count = Math.min(MOST_PARTS, Math.ceil(group.length / PART_ROWS));
  if (count === 1 || spanOf(group) > NEAR_MICROS) return [group];
  const enough = group.length / count;
  const customers = new Map<string, UsageEvent[]>();
  for (const row of group) {
    const others = customers.get(row.customerId);
    if (others) others.push(row);
    else customers.set(row.customerId, [row]);
  }
  const parts: UsageEvent[][] = [[]];
  for (const rows of customers.values()) {
    if (parts.at(-1)!.length >= enough) parts.push(rows);
    else parts.at(-1)!.push(...rows);
  }
  return parts;
}

function spanOf(group: UsageEvent[]): number {
  let [first, last] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const { tsMicros } of group) {
    if (tsMicros < first) first = tsMicros;
    if (tsMicros > last) last = tsMicros;
  }
  return last - first;
}
