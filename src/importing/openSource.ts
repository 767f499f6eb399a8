import { StartupError } from '../errors.ts';
import type { EventVerdict } from '../events/finishEvent.ts';
import { mayHoldUnstorableText } from '../events/text.ts';
import { toUsageEvent } from '../events/toUsageEvent.ts';
import { DEFAULT_EVENT_TYPE } from '../events/usageEvent.ts';
import { locateColumns, type Mapping } from './mapping.ts';
import { type Constants, completedEvent, mappedEvent } from './nativeEventOf.ts';
import { type Input, openInput } from './openInput.ts';
import { readCsv } from './readCsv.ts';
import { readLines } from './readLines.ts';
import { readNdjson } from './readNdjson.ts';
import type { Row } from './row.ts';
import { filePrefix, rowId } from './rowId.ts';

export interface SourceOptions {
  path: string;
  format: 'csv' | 'ndjson';
  /** Of CSV; one character. */
  delimiter: string;
  tenantId: string;
  mapping: Mapping;
  constants: Constants;
  /** Begins the ids of rows without one; undefined: made from how the file begins. */
  idPrefix: string | undefined;
  /** How far ahead of the clock an event may be, in ms. */
  aheadMs: number;
}

/** A file whose rows can be read as events. */
export interface Source {
  input: Input;
  /** Begins the ids of rows without one. */
  idPrefix: string;
  rows: AsyncGenerator<Row<unknown>>;
  /** The event of a row, under the rules of the API but for the past, which is open. */
  toEvent(row: Row<unknown>): EventVerdict;
}

/**
 * Opens a file and checks, before any row is taken, that its columns are those of the mapping.
 *
 * @throws {StartupError} when it cannot be read, lacks a column, or nothing says what an event must have.
 */
export async function openSource(options: SourceOptions): Promise<Source> {
  const { mapping, constants } = options;
  if (options.format === 'csv' || isMapped(mapping)) checkCompleteness(mapping, constants);
  const input = await openInput(options.path);
  try {
    const lines = readLines(input.chunks);
    const csv = options.format === 'csv' ? await readCsv(lines, options.delimiter) : null;
    const toNative = csv ? csvEvent(options, csv.header) : jsonEvent(options);
    const rows: AsyncGenerator<Row<unknown>> = csv?.rows ?? readNdjson(lines);

    const first = await rows.next();
    const idPrefix =
      options.idPrefix ??
      filePrefix(csv?.header ?? null, first.done ? '' : first.value.text, wholeCustomer(options));
    const toEvent = (row: Row<unknown>): EventVerdict => {
      if (row.fault) return { faults: [{ index: row.line, ...row.fault }] };
      const event = toNative(row.values);
      if (isRecord(event)) event.eventId ??= rowId(idPrefix, row.line, row.text);
      const now = Date.now();
      const rules = {
        tenantId: options.tenantId,
        earliestMicros: 0, // nothing before 1970 can be asked for
        latestMicros: (now + options.aheadMs) * 1_000,
        receivedMicros: now * 1_000,
        checkText: mayHoldUnstorableText(row.text),
      };
      const verdict = toUsageEvent(event, rules, row.line);
      for (const fault of verdict.faults ?? []) fault.message = MESSAGES[fault.code] ?? fault.message;
      return verdict;
    };
    return { input, idPrefix, rows: first.done ? rows : startingWith(first.value, rows), toEvent };
  } catch (error) {
    await input.close();
    throw error;
  }
}

/** Where the rules of an import differ from those of the API, so do the words. */
const MESSAGES: Record<string, string> = {
  timestamp_invalid: 'must be an ISO 8601 date-time; without a zone it is taken as UTC',
  timestamp_too_old: 'is before 1970',
};

/** What every row would lack is better said once. */
function checkCompleteness({ columns }: Mapping, constants: Constants): void {
  const has = (name: string) => columns.some(({ target }) => target.name === name);
  if (!has('timestamp')) throw new StartupError('--map must say which column is the timestamp');
  if (!has('customerId') && constants.customerId === undefined) {
    throw new StartupError('name the customer: --customer, or --map customerId=COLUMN');
  }
  const plainRequests =
    !has('eventType') && (constants.eventType ?? DEFAULT_EVENT_TYPE) === DEFAULT_EVENT_TYPE;
  if (plainRequests && !has('apiEndpoint') && constants.apiEndpoint === undefined) {
    throw new StartupError(
      `${DEFAULT_EVENT_TYPE} events need an endpoint: --endpoint, or --map endpoint=COLUMN`,
    );
  }
}

function csvEvent({ mapping, constants }: SourceOptions, header: string[]) {
  const places = locateColumns(mapping, header);
  return (values: unknown) =>
    mappedEvent(mapping, constants, (column) => (values as string[])[places.get(column)!]);
}

/** With a mapping each line is any object, its columns at the top or in `metadata`; else it is a native event. */
function jsonEvent({ mapping, constants }: SourceOptions) {
  if (!isMapped(mapping)) return (line: unknown) => completedEvent(line, constants);
  return (line: unknown) => {
    if (!isRecord(line)) return line;
    const inner = isRecord(line.metadata) ? line.metadata : {};
    return mappedEvent(mapping, constants, (column) =>
      Object.hasOwn(line, column) ? line[column] : Object.hasOwn(inner, column) ? inner[column] : undefined,
    );
  };
}

function isMapped(mapping: Mapping): boolean {
  return mapping.columns.length > 0 || mapping.metadata.length > 0;
}

function wholeCustomer({ mapping, constants }: SourceOptions): string | null {
  const mapped = mapping.columns.some(({ target }) => target.name === 'customerId');
  return mapped ? null : (constants.customerId ?? null);
}

async function* startingWith<Item>(first: Item, rest: AsyncGenerator<Item>): AsyncGenerator<Item> {
  yield first;
  yield* rest;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
