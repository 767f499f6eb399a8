import { canonicalJson } from '../../model/canonicalJson.ts';
import { parseDecimal } from '../../model/decimal.ts';
import { StartupError } from '../../model/errors.ts';
import { identify } from '../../model/eventId.ts';
import { parseJson } from '../../model/json.ts';
import { parseTimestamp } from '../../model/timestamp.ts';
import { WINDOW_MICROS, WINDOW_MS } from '../../model/window.ts';
import { EVENT_HEADER, type ExportedEvent, eventJsonLine } from '../../outbound/exporting/eventLines.ts';
import { unguard } from '../../outbound/exporting/formulaGuard.ts';
import type { CountedEvent } from '../../outbound/proof/windowDigest.ts';
import { isMeasure } from '../events/foreignDocument.ts';
import { openInput } from '../importing/openInput.ts';
import { readCsv } from '../importing/readCsv.ts';
import { type Line, readLines } from '../importing/readLines.ts';
import { readNdjson } from '../importing/readNdjson.ts';
import type { Row } from '../importing/row.ts';
import { startingWith } from '../importing/startingWith.ts';

/** An event of an export. */
export interface FileEvent extends CountedEvent {
  /** Where it stands in the file, from 1. */
  place: number;
  tenantId: string;
  customerId: string;
  /** Of its window, in ms since the epoch. */
  startMs: number;
  /** The UUID that it is counted under. */
  uuid: string;
  endpoint: string | null;
  model: string | null;
}

/** Why a row is no event of an export. */
class NoEvent extends Error {}

/**
 * The events of a file as `export events` writes it, NDJSON or CSV, in its order. Nothing is put right on the way: what
 * has been changed in the file is another event.
 *
 * @throws {StartupError} when it cannot be read, or has a row that is no event.
 */
export async function* exportedEvents(path: string): AsyncGenerator<FileEvent> {
  const input = await openInput(path);
  try {
    const { rows, toEvent } = await openRows(input.chunks);
    for await (const block of rows) {
      for (const row of block) {
        if (row.fault) throw rowFault(path, row.line, row.fault.message);
        try {
          yield fileEvent(toEvent(row), row.line);
        } catch (error) {
          throw error instanceof NoEvent ? rowFault(path, row.line, error.message) : error;
        }
      }
    }
  } finally {
    await input.close();
  }
}

function rowFault(path: string, line: number, message: string): StartupError {
  return new StartupError(`${path}: line ${line}: ${message}`);
}

interface Rows {
  rows: AsyncIterable<Row<unknown>[]>;
  /** The event of a row as NDJSON has it. */
  toEvent(row: Row<unknown>): unknown;
}

/** A file that begins with the header is CSV, any other NDJSON. */
async function openRows(chunks: AsyncIterable<Buffer>): Promise<Rows> {
  const blocks = readLines(chunks);
  const first = await blocks.next();
  const lines: AsyncIterable<Line[]> = first.done ? blocks : startingWith([first.value], blocks);
  const header = EVENT_HEADER.trimEnd();
  if (first.done || first.value[0]?.text !== header) {
    return { rows: readNdjson(lines), toEvent: ({ text, values }) => withNamesOnce(text, values) };
  }
  const names = header.split(',');
  return {
    rows: (await readCsv(lines, ',')).rows,
    toEvent: ({ values }) => eventOfCells(names, values as string[]),
  };
}

function eventOfCells(names: readonly string[], cells: readonly string[]): unknown {
  const cell = (name: string) => {
    const text = cells[names.indexOf(name)]!;
    return text === '' ? null : unguard(text);
  };
  const number = (name: string) => {
    const text = cell(name);
    if (text !== null && !/^\d+(?:\.\d+)?(?:e[+-]?\d+)?$/.test(text))
      throw new NoEvent(`${name} is no number`);
    return text;
  };
  const latency = number('latencyMs');
  const row: ExportedEvent = {
    ...{ ts_micros: String(microsOf(cell('timestamp'))), received_micros: '0' },
    ...uuidOf(cell('eventId')),
    customer_id: cell('customerId') ?? '',
    event_type: cell('eventType') ?? '',
    ...{ endpoint: cell('apiEndpoint'), model: cell('model'), source_id: cell('sourceId') },
    ...{ reference: cell('reference'), unit: cell('unit'), value: cell('value') },
    ...{
      tokens: number('tokens'),
      input_tokens: number('inputTokens'),
      output_tokens: number('outputTokens'),
    },
    latency_ms: latency === null ? null : Number(latency),
    metadata: cell('metadata'),
  };
  const line = eventJsonLine(cell('tenantId') ?? '', row);
  let event: unknown;
  try {
    event = parseJson(line);
  } catch {
    throw new NoEvent('metadata are no JSON object');
  }
  return withNamesOnce(line, event);
}

/** Texts of JSON, those before a colon are names. */
const TEXT_OR_NAME = /"(?:[^"\\]|\\.)*"(\s*:)?/g;

/** Of members that are called the same, readers of JSON take different ones: what is proven would not be what is read. */
function withNamesOnce(json: string, value: unknown): unknown {
  let names = 0;
  for (const [, colon] of json.matchAll(TEXT_OR_NAME)) if (colon !== undefined) names++;
  if (names !== membersOf(value)) throw new NoEvent('a name is there twice in an object');
  return value;
}

function membersOf(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0;
  const members = Object.values(value);
  return members.reduce(
    (sum: number, member) => sum + membersOf(member),
    Array.isArray(value) ? 0 : members.length,
  );
}

function uuidOf(eventId: string | null): { event_id: string; external_id: string | null } {
  if (eventId === null) throw new NoEvent('eventId is missing');
  const { eventId: uuid, externalId } = identify(eventId);
  return { event_id: uuid, external_id: externalId };
}

function microsOf(timestamp: unknown): number {
  const micros = typeof timestamp === 'string' ? parseTimestamp(timestamp) : Number.NaN;
  if (Number.isNaN(micros)) throw new NoEvent('timestamp is no time');
  return micros;
}

function fileEvent(event: unknown, place: number): FileEvent {
  if (!isRecord(event)) throw new NoEvent('is no event as "export events" writes it');
  const { metadata = {}, value } = event;
  if (!isRecord(metadata)) throw new NoEvent('metadata are no JSON object');
  const micros = microsOf(event.timestamp);
  const decimal = value === undefined ? null : typeof value === 'string' ? parseDecimal(value) : undefined;
  if (decimal === undefined || (value !== undefined && decimal === null))
    throw new NoEvent('value is no decimal');
  return {
    place,
    line: canonicalJson(event),
    tenantId: textOf(event, 'tenantId'),
    customerId: textOf(event, 'customerId'),
    eventType: textOf(event, 'eventType'),
    uuid: uuidOf(textOf(event, 'eventId')).event_id,
    startMs: Math.floor(micros / WINDOW_MICROS) * WINDOW_MS,
    endpoint: event.apiEndpoint === undefined ? null : textOf(event, 'apiEndpoint'),
    model: measure(metadata, 'model', null),
    tokens: measure(metadata, 'tokens', 0),
    inputTokens: measure(metadata, 'inputTokens', 0),
    outputTokens: measure(metadata, 'outputTokens', 0),
    value: decimal,
  };
}

function textOf(event: Record<string, unknown>, name: string): string {
  const value = event[name];
  if (typeof value !== 'string' || value === '') throw new NoEvent(`${name} is missing`);
  return value;
}

/** Other systems' clients may send a member of that name which is none: it is kept, and adds nothing. */
function measure<Value>(metadata: Record<string, unknown>, name: string, absent: Value): Value {
  const value = metadata[name] ?? null;
  return isMeasure(name, value) ? (value as Value) : absent;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
