import { CopyEncoder, EVENT_COLUMNS } from '../../src/intake/ingest/copyEncoding.ts';
import { IdentityClaims, KEY_COLUMNS } from '../../src/intake/ingest/identityClaims.ts';
import { type IdentityKeys, KEY_SLOTS } from '../../src/model/identityKey.ts';
import type { UsageEvent } from '../../src/model/usageEvent.ts';
import { type FillIds, idBytes, markerId, writeIdText } from './eventIds.ts';
import { makeEvent, seededRandom } from './workload.ts';

/*
 * Batches of rows encoded before the clock starts. What a row must not repeat, its id and time, is written into the
 * encoded bytes before each sending: about 0.3 ms for 5,000 rows, while the other connection is at work.
 */

export type CopyFormat = 'binary' | 'text';

export interface CopyBatch {
  rows: number;
  /** The COPY statements whose data follow each other in `data`: identities, then events. */
  statements: string[];
  /** CopyData and CopyDone messages. */
  data: Buffer;
  /** Gives the rows new ids and the present time. Not while the last sending is under way. */
  renew(): void;
}

export interface CopyBatchOptions {
  rows: number;
  format: CopyFormat;
  fillIds: FillIds;
  seed: number;
}

/** A time to be found in the encoded bytes: 2001-02-03T04:05:06.789Z, in microseconds. */
const MARKER_MICROS = 981_173_106_789_000;
const POSTGRES_EPOCH_MICROS = 946_684_800_000_000;

export function makeCopyBatch({ rows, format, fillIds, seed }: CopyBatchOptions): CopyBatch {
  const random = seededRandom(seed);
  const events = Array.from({ length: rows }, (_, i) => makeEvent(random, markerId(i), MARKER_MICROS));
  const data = format === 'binary' ? encodeBinary(events) : encodeText(events);
  const eventsFrom = positionsOf(data, format, rows);
  const ids = Buffer.alloc(rows * 16);
  const micros = Buffer.alloc(8);
  return {
    rows,
    statements: [
      `copy event_key (${KEY_COLUMNS.join(', ')}) from stdin (format ${format})`,
      `copy event (${EVENT_COLUMNS.join(', ')}) from stdin (format ${format})`,
    ],
    data,
    renew() {
      fillIds(ids);
      const { identityIds, eventIds, times } = eventsFrom;
      const now = new Date();
      if (format === 'binary') {
        micros.writeBigInt64BE(BigInt(now.getTime()) * 1_000n - BigInt(POSTGRES_EPOCH_MICROS));
        for (let i = 0; i < rows; i++) {
          ids.copy(data, identityIds[i]!, i * 16, i * 16 + 16);
          ids.copy(data, eventIds[i]!, i * 16, i * 16 + 16);
          micros.copy(data, times[i]!);
        }
      } else {
        const text = now.toISOString();
        for (let i = 0; i < rows; i++) {
          writeIdText(ids, i * 16, data, identityIds[i]!);
          writeIdText(ids, i * 16, data, eventIds[i]!);
          data.write(text, times[i]!, 'latin1');
        }
      }
    },
  };
}

/** In place of keys there are the ids as they are, each in the next slot: to PostgreSQL it is the same. */
function encodeBinary(events: UsageEvent[]): Buffer {
  const encoder = new CopyEncoder();
  const words = new Uint32Array(events.length * 4);
  for (const [i, { eventId }] of events.entries()) {
    const bytes = idBytes(eventId);
    for (let word = 0; word < 4; word++) words[i * 4 + word] = bytes.readUInt32BE(word * 4);
  }
  encoder.begin();
  for (let i = 0; i < events.length; i += KEY_SLOTS) {
    const places = Int32Array.from({ length: KEY_SLOTS }, (_, slot) =>
      i + slot < events.length ? (i + slot) * 4 : -1,
    );
    encoder.appendKeys(places, words);
  }
  encoder.end();
  encodeEvents(encoder, events);
  return Buffer.from(encoder.take());
}

/** The keys of some events, and behind them the events: what two COPYs take. */
export function encodeRows(encoder: CopyEncoder, events: UsageEvent[], keys: IdentityKeys): void {
  encoder.begin();
  new IdentityClaims(events, keys).deal((places, words) => encoder.appendKeys(places, words));
  encoder.end();
  encodeEvents(encoder, events);
}

function encodeEvents(encoder: CopyEncoder, events: UsageEvent[]): void {
  encoder.begin();
  for (const event of events) encoder.appendEvent(event);
  encoder.end();
}

/** The same columns as text: tabs between them, \N for null. The workload has nothing to escape. */
function encodeText(events: UsageEvent[]): Buffer {
  const columns: Record<string, (event: UsageEvent) => unknown> = {
    ts: (event) => new Date(event.tsMicros / 1_000).toISOString(),
    tokens: (event) => event.tokens,
    input_tokens: (event) => event.inputTokens,
    output_tokens: (event) => event.outputTokens,
    latency_ms: (event) => event.latencyMs,
    event_id: (event) => event.eventId,
    tenant_id: (event) => event.tenantId,
    customer_id: (event) => event.customerId,
    event_type: (event) => event.eventType,
    endpoint: (event) => event.endpoint,
    model: (event) => event.model,
  };
  const copy = (names: readonly string[]) => {
    const lines = events.map(
      (event) => `${names.map((name) => columns[name]?.(event) ?? '\\N').join('\t')}\n`,
    );
    return [...framed(lines), COPY_DONE];
  };
  const keys = Array.from({ length: Math.ceil(events.length / KEY_SLOTS) }, (_, row) => {
    const ids = KEY_COLUMNS.map((_, slot) => events[row * KEY_SLOTS + slot]?.eventId ?? '\\N');
    return `${ids.join('\t')}\n`;
  });
  return Buffer.concat([...framed(keys), COPY_DONE, ...copy(EVENT_COLUMNS)]);
}

const COPY_DONE = Buffer.from([0x63, 0, 0, 0, 4]);
/** As in the encoder of the service. */
const FRAME_BYTES = 65_536;

/** CopyData messages of whole lines. */
function* framed(lines: string[]): Generator<Buffer> {
  let text = '';
  for (const [i, line] of lines.entries()) {
    text += line;
    if (text.length < FRAME_BYTES && i < lines.length - 1) continue;
    const frame = Buffer.alloc(5 + text.length);
    frame[0] = 0x64;
    frame.writeInt32BE(4 + text.length, 1);
    frame.write(text, 5, 'latin1');
    yield frame;
    text = '';
  }
}

/** Where the markers are: each row once among the identities, then once among the events. */
function positionsOf(data: Buffer, format: CopyFormat, rows: number) {
  const time =
    format === 'text' ? Buffer.from(new Date(MARKER_MICROS / 1_000).toISOString()) : Buffer.alloc(8);
  if (format === 'binary') time.writeBigInt64BE(BigInt(MARKER_MICROS - POSTGRES_EPOCH_MICROS));
  const marker = (i: number) => (format === 'text' ? Buffer.from(markerId(i)) : idBytes(markerId(i)));
  const identityIds: number[] = [];
  const eventIds: number[] = [];
  let at = 0;
  for (const found of [identityIds, eventIds]) {
    for (let i = 0; i < rows; i++) {
      at = data.indexOf(marker(i), at);
      found.push(at);
    }
  }
  const times: number[] = [];
  at = identityIds[rows - 1]!;
  for (let i = 0; i < rows; i++) {
    at = data.indexOf(time, at) + 1;
    times.push(at - 1);
  }
  return { identityIds, eventIds, times };
}
