import { type EventFault, StartupError } from '../../model/errors.ts';
import { mayHoldUnstorableText } from '../../model/text.ts';
import { DEFAULT_EVENT_TYPE } from '../../model/usageEvent.ts';
import { EVENT_HEADER } from '../../outbound/exporting/eventLines.ts';
import { unguard } from '../../outbound/exporting/formulaGuard.ts';
import type { EventRules } from '../events/finishEvent.ts';
import { toUsageEvent } from '../events/toUsageEvent.ts';
import { locateColumns, type Mapping } from './mapping.ts';
import { meaningOf } from './meaning.ts';
import { type Constants, completedEvent, mappedEvent } from './nativeEventOf.ts';
import { type Input, openInput } from './openInput.ts';
import { readCsv } from './readCsv.ts';
import { readJson } from './readJson.ts';
import { MAX_LINE_BYTES, readLines } from './readLines.ts';
import { readNdjson } from './readNdjson.ts';
import type { LastRow, Row, RowFault, RowVerdict } from './row.ts';
import { filePrefix, rowId } from './rowId.ts';
import { startingWith } from './startingWith.ts';
import { likelyFormat, type TimeFormat, UNIT_NAMES } from './timeFormat.ts';

export const FORMATS = ['csv', 'ndjson', 'json'] as const;
export type Format = (typeof FORMATS)[number];

export interface SourceOptions {
  path: string;
  /** Undefined: told by the name, and JSON by how it begins. */
  format: Format | undefined;
  /** Of CSV; one character. */
  delimiter: string;
  tenantId: string;
  mapping: Mapping;
  constants: Constants;
  /** Default: `iso`. */
  timeFormat?: TimeFormat | undefined;
  /** Cells of CSV are led by apostrophes where they would be formulas. Exports are known by their header. */
  guarded?: boolean | undefined;
  /** Default: `take`. */
  lastRow?: LastRow | undefined;
  /** Begins the ids of rows without one; undefined: made from how the file begins, and what is said of it. */
  idPrefix: string | undefined;
  /** How far ahead of the clock an event may be, in ms. */
  aheadMs: number;
}

/** A file whose rows can be read as events. */
export interface Source {
  input: Input;
  format: Format;
  /** Begins the ids of rows without one. */
  idPrefix: string;
  /** What earlier versions made it of; null where that is the same, or was not asked for. */
  earlierIdPrefix: string | null;
  /** In blocks, none of them empty. */
  rows: AsyncGenerator<Row<unknown>[]>;
  /** The event of a row, under the rules of the API but for the past, which is open. */
  toEvent(row: Row<unknown>): RowVerdict;
}

/**
 * Opens a file and checks, before any row is taken, that its columns are those of the mapping.
 *
 * @throws {StartupError} when it cannot be read, lacks a column, or nothing says what an event must have.
 */
export async function openSource(options: SourceOptions): Promise<Source> {
  const { mapping, constants, timeFormat = 'iso', lastRow = 'take' } = options;
  if (namedFormat(options) === 'csv' || isMapped(mapping)) checkCompleteness(mapping, constants);
  const input = await openInput(options.path);
  try {
    const { format, chunks } = await recognise(options, input.chunks);
    const csv = format === 'csv' ? await readCsv(readLines(chunks), options.delimiter, lastRow) : null;
    const guarded = csv !== null && (options.guarded === true || isExport(csv.header));
    const toNative = csv ? csvEvent(options, csv.header, guarded) : jsonEvent(options);
    const rows: AsyncGenerator<Row<unknown>[]> =
      csv?.rows ?? (format === 'json' ? readJson(chunks, lastRow) : readNdjson(readLines(chunks), lastRow));

    const first = await rows.next();
    const prefixFor = (meaning: string | null) =>
      filePrefix(
        csv?.header ?? null,
        first.done ? '' : first.value[0]!.text,
        wholeCustomer(options),
        meaning,
      );
    const ownPrefix = options.idPrefix ?? prefixFor(meaningOf({ mapping, constants, timeFormat, guarded }));
    const earlierPrefix = prefixFor(null);
    const rules: EventRules = {
      tenantId: options.tenantId,
      earliestMicros: 0, // nothing before 1970 can be asked for
      latestMicros: 0,
      receivedMicros: 0,
      checkText: true,
    };
    const toEvent = (row: Row<unknown>): RowVerdict => {
      if (row.fault) return { faults: [{ index: row.line, ...row.fault }] };
      let misread: RowFault[] | undefined;
      const event = toNative(row.values, (fault) => {
        misread ??= [];
        misread.push(fault);
      });
      if (misread) return { faults: misread.map((fault) => ({ index: row.line, ...fault })) };
      const made = isRecord(event) && (event.eventId ?? null) === null;
      if (made) event.eventId = rowId(source.idPrefix, row.line, row.text);
      rules.receivedMicros = Date.now() * 1_000;
      rules.latestMicros = rules.receivedMicros + options.aheadMs * 1_000;
      rules.checkText = mayHoldUnstorableText(row.text);
      const verdict = toUsageEvent(event, rules, row.line);
      if (verdict.event) return { event: verdict.event, made };
      for (const fault of verdict.faults) fault.message = messageOf(fault, event, timeFormat);
      return verdict;
    };
    const source: Source = {
      input,
      format,
      idPrefix: ownPrefix,
      earlierIdPrefix: options.idPrefix !== undefined || earlierPrefix === ownPrefix ? null : earlierPrefix,
      rows: first.done ? rows : startingWith([first.value], rows),
      toEvent,
    };
    return source;
  } catch (error) {
    await input.close();
    throw error instanceof StartupError && !error.message.includes(options.path)
      ? new StartupError(`${options.path}: ${error.message}`, { cause: error })
      : error;
  }
}

/** What the name of a file says of it; a name without a word on it is that of CSV. */
function namedFormat({ format, path }: SourceOptions): Format {
  return format ?? (/\.(ndjson|jsonl|json)(\.gz)?$/i.test(path) ? 'ndjson' : 'csv');
}

/** Text that is looked at to tell JSON from NDJSON, in bytes: a line of NDJSON may be as long. */
const HEAD_BYTES = MAX_LINE_BYTES;

/**
 * A file with a JSON name is NDJSON where its first line is an object, or is nothing that a document could begin with;
 * else it is a document: an array, or an object over several lines.
 *
 * @throws {StartupError} when it is an object that has the events in it.
 */
async function recognise(
  options: SourceOptions,
  chunks: AsyncIterable<Buffer>,
): Promise<{ format: Format; chunks: AsyncIterable<Buffer> }> {
  const named = namedFormat(options);
  if (named === 'csv') return { format: 'csv', chunks };
  const { head, whole } = await peek(chunks, HEAD_BYTES, isEnough);
  const text = head.toString().trimStart(); // which drops a byte order mark too
  const format = options.format ?? (beginsDocument(text) ? 'json' : 'ndjson');
  const list = listWithin(text, new Set(membersOf(options.mapping)));
  if (list !== null) {
    const filter = /^\w+$/.test(list) ? `.${list}` : `'.["${list}"]'`;
    throw new StartupError(
      `the events are within an object, in its member ${list}: take the array out (jq ${filter})`,
    );
  }
  return { format, chunks: whole };
}

/** A line that says something is there as a whole. */
function isEnough(head: Buffer): boolean {
  const text = head.toString().trimStart();
  return text.startsWith('[') ? /^\[\s*(?:[{[\]]|[^\s{[\]].*?[,\]])/s.test(text) : text.includes('\n');
}

/** An array of whatever it may be: nothing yet, a value in brackets, or another one that is a whole element. */
const ARRAY =
  /^\[\s*(?:$|[{[\]]|(?:"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null)\s*[,\]])/;

function beginsDocument(text: string): boolean {
  if (ARRAY.test(text)) return true;
  const [line] = text.split('\n', 1);
  return text.startsWith('{') && goesOn(line!) && text.length > line!.length;
}

/** Whether a line opens more brackets than it closes, strings aside. No string of JSON goes on in the next line. */
function goesOn(line: string): boolean {
  const bare = line.replace(/"(?:[^"\\]|\\.)*"/g, '');
  return !bare.includes('"') && bare.replace(/[^{[]/g, '').length > bare.replace(/[^}\]]/g, '').length;
}

/** Members that an object has when it is itself the event. */
function membersOf(mapping: Mapping): string[] {
  return isMapped(mapping)
    ? [...mapping.columns.map(({ column }) => column), 'metadata']
    : ['timestamp', 'eventId', 'customerId', 'eventType', 'metadata'];
}

/**
 * The first member of an object that is an array of objects; null where there is none, as far as the text goes, or where
 * it has one of an event, which may come behind.
 */
function listWithin(text: string, own: Set<string>): string | null {
  if (!text.startsWith('{')) return null;
  const tokens = /"((?:[^"\\]|\\.)*)"(?:\s*:\s*(\[\s*\{)?)?|[{}[\]]/g;
  let depth = 0;
  let first: string | null = null;
  for (const [token, name, list] of text.matchAll(tokens)) {
    if (depth === 1 && name !== undefined && own.has(name) && token !== `"${name}"`) return null;
    if (depth === 1 && list !== undefined) first ??= name!;
    if (list !== undefined) depth += 2;
    else if (token === '{' || token === '[') depth++;
    else if ((token === '}' || token === ']') && --depth === 0) return first;
  }
  return first;
}

/** Reads on until there is enough, or that many bytes. */
async function peek(
  chunks: AsyncIterable<Buffer>,
  most: number,
  enough: (head: Buffer) => boolean,
): Promise<{ head: Buffer; whole: AsyncIterable<Buffer> }> {
  const rest = chunks[Symbol.asyncIterator]();
  let head: Buffer = Buffer.alloc(0);
  while (head.length < most && !enough(head)) {
    const next = await rest.next();
    if (next.done) break;
    head = Buffer.concat([head, next.value]);
  }
  async function* whole(): AsyncGenerator<Buffer> {
    if (head.length > 0) yield head;
    yield* { [Symbol.asyncIterator]: () => rest };
  }
  return { head, whole: whole() };
}

/** Whether a file is an export of Tidemark's, whose texts are led by apostrophes where need be. */
function isExport(header: readonly string[]): boolean {
  return header.join() === EVENT_HEADER.trimEnd() || (header[0] === 'bucket' && header[1] === 'bucketEnd');
}

/** Where the rules of an import differ from those of the API, so do the words. */
function messageOf({ code, message }: EventFault, event: unknown, timeFormat: TimeFormat): string {
  if (code === 'timestamp_too_old') return 'is before 1970';
  const time = isRecord(event) ? event.timestamp : undefined;
  const isNumber = typeof time === 'number';
  if (code !== 'timestamp_invalid' && !(isNumber && code === 'type_invalid')) return message;
  if (timeFormat !== 'iso') return `must be a number of ${UNIT_NAMES[timeFormat]} since 1970 (--time-format)`;
  const likely = likelyFormat(String(time));
  const hint =
    likely === null ? '' : `; ${UNIT_NAMES[likely]} since 1970 are read with --time-format ${likely}`;
  if (code === 'type_invalid' && hint === '') return message;
  return `must be an ISO 8601 date-time; without a zone it is taken as UTC${hint}`;
}

/** What every row would lack is better said once. */
function checkCompleteness({ columns }: Mapping, constants: Constants): void {
  const has = (name: string) => columns.some(({ target }) => target.name === name);
  if (!has('timestamp')) throw new StartupError('name the column of the timestamp: --map timestamp=COLUMN');
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

function csvEvent(
  { mapping, constants, timeFormat = 'iso' }: SourceOptions,
  header: string[],
  guarded: boolean,
) {
  const places = locateColumns(mapping, header);
  return (values: unknown, onFault: (fault: RowFault) => void) =>
    mappedEvent(
      mapping,
      constants,
      (column) => {
        const cell = (values as string[])[places.get(column)!]!;
        return guarded ? unguard(cell) : cell;
      },
      timeFormat,
      onFault,
    );
}

/** With a mapping each line is any object, its columns at the top or in `metadata`; else it is a native event. */
function jsonEvent({ mapping, constants, timeFormat = 'iso' }: SourceOptions) {
  if (!isMapped(mapping)) return (line: unknown) => completedEvent(line, constants, timeFormat);
  return (line: unknown, onFault: (fault: RowFault) => void) => {
    if (!isRecord(line)) return line;
    const inner = isRecord(line.metadata) ? line.metadata : {};
    const cell = (column: string) =>
      Object.hasOwn(line, column) ? line[column] : Object.hasOwn(inner, column) ? inner[column] : undefined;
    return mappedEvent(mapping, constants, cell, timeFormat, onFault);
  };
}

function isMapped(mapping: Mapping): boolean {
  return mapping.columns.length > 0 || mapping.metadata.length > 0;
}

function wholeCustomer({ mapping, constants }: SourceOptions): string | null {
  const mapped = mapping.columns.some(({ target }) => target.name === 'customerId');
  return mapped ? null : (constants.customerId ?? null);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
