import { hexByte } from '../../model/hexByte.ts';
import type { UsageEvent } from '../../model/usageEvent.ts';
import { type MeterPart, PART_COLUMNS } from '../../sums/meters/feed/meterParts.ts';

/*
 * Rows in PostgreSQL's binary COPY format, framed as CopyData messages, ready for the socket
 * (PostgreSQL documentation: "COPY", Binary Format; "Message Formats", CopyData and CopyDone).
 */

/** Columns of `COPY event`, in the order `appendEvent` writes them. */
export const EVENT_COLUMNS = [
  'ts',
  'event_id',
  'tenant_id',
  'customer_id',
  'event_type',
  'tokens',
  'input_tokens',
  'output_tokens',
  'latency_ms',
  'endpoint',
  'model',
  'external_id',
  'source_id',
  'reference',
  'unit',
  'value',
  'metadata',
] as const;

export type EventColumn = (typeof EVENT_COLUMNS)[number];

/** Those before it are in every event. */
const FIRST_OPTIONAL = EVENT_COLUMNS.indexOf('tokens');

/** Which of the optional columns are written: a bit each, in their order. */
const TOKENS = 1;
const INPUT_TOKENS = 2;
const OUTPUT_TOKENS = 4;
const LATENCY_MS = 8;
const ENDPOINT = 16;
const MODEL = 32;
const EXTERNAL_ID = 64;
const SOURCE_ID = 128;
const REFERENCE = 256;
const UNIT = 512;
const VALUE = 1_024;
const METADATA = 2_048;
const ALL = 4_095;

const SIGNATURE = Buffer.from('PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0', 'latin1');
const COPY_DATA = 0x64;
const COPY_DONE = Buffer.from([0x63, 0, 0, 0, 4]);
const FRAME_HEADER = 5;
/** A frame ends after the row that passes this many bytes: the server parses one while the next arrives. */
const FRAME_BYTES = 65_536;
/** 2000-01-01 in microseconds since 1970: the epoch of timestamptz. */
const POSTGRES_EPOCH_MICROS = 946_684_800_000_000;
const TWO_32 = 4_294_967_296;
/** Of the elements of arrays: pg_type. */
const TEXT_OID = 25;
const UUID_OID = 2_950;
/** Below it an integer is two digits on the wire. */
const TWO_DIGITS = 100_000_000;

/**
 * Encodes one COPY at a time into a buffer that is kept between batches, so a steady stream allocates nothing.
 * `take` hands out a view of it: use `begin` again only once the server has answered for it, and `discard` the
 * buffer when a connection broke, since the old socket may still hold it.
 */
export class CopyEncoder {
  private buffer: Buffer;
  /** The same bytes: V8 compiles its setters to plain stores. */
  private view: DataView;
  private at = 0;
  private frame = 0;
  private start = 0;
  private ends: number[] = [];
  /** The optional columns of the COPY of events at hand, and how many columns it has in all. */
  private optional = ALL;
  private columns: number = EVENT_COLUMNS.length;

  constructor(initialBytes = 262_144) {
    this.buffer = Buffer.allocUnsafeSlow(initialBytes);
    this.view = new DataView(this.buffer.buffer);
  }

  /** Starts over, at the head of the buffer. */
  reset(): void {
    this.at = 0;
    this.ends = [];
  }

  discard(): void {
    this.replaceBuffer(Buffer.allocUnsafeSlow(this.buffer.length));
    this.reset();
  }

  /** Starts a COPY behind whatever has been taken since `reset`. */
  begin(): void {
    this.start = this.at;
    this.optional = ALL;
    this.columns = EVENT_COLUMNS.length;
    this.openFrame();
    this.ensure(SIGNATURE.length);
    SIGNATURE.copy(this.buffer, this.at);
    this.at += SIGNATURE.length;
  }

  /** Ends the COPY: the byte range of its CopyData frames and CopyDone. */
  end(): { from: number; to: number } {
    this.ensure(2 + COPY_DONE.length);
    this.at = this.buffer.writeInt16BE(-1, this.at);
    this.closeFrame();
    COPY_DONE.copy(this.buffer, this.at);
    this.at += COPY_DONE.length;
    this.ends.push(this.at);
    return { from: this.start, to: this.at };
  }

  /** Everything since `reset`. */
  take(): Buffer {
    return this.buffer.subarray(0, this.at);
  }

  /** The same, each COPY by itself. */
  takeEach(): Buffer[] {
    return this.ends.map((end, i) => this.buffer.subarray(this.ends[i - 1] ?? 0, end));
  }

  /** Bytes written since `reset`. */
  get length(): number {
    return this.at;
  }

  /**
   * A row of `COPY event_key`.
   *
   * @param places for each slot where in `words` its key of four words begins, or -1.
   */
  appendKeys(places: Int32Array, words: Uint32Array): void {
    this.ensure(2 + places.length * 20);
    this.int16(places.length);
    for (let slot = 0; slot < places.length; slot++) {
      const place = places[slot]!;
      if (place < 0) this.null();
      else this.uuidOf(words, place);
    }
    this.nextFrame();
  }

  /**
   * Starts a COPY of these events. A column that is null in all of them is left out, here and by the server: an event
   * uses few of the columns that there are.
   *
   * @returns the columns of the COPY.
   */
  beginEvents(events: readonly UsageEvent[]): EventColumn[] {
    this.begin();
    this.optional = 0;
    for (const event of events) {
      this.optional |= optionalOf(event);
      if (this.optional === ALL) break;
    }
    this.columns = FIRST_OPTIONAL + bitsOf(this.optional);
    return EVENT_COLUMNS.filter((_, i) => i < FIRST_OPTIONAL || this.optional & (1 << (i - FIRST_OPTIONAL)));
  }

  /** Of the events that `beginEvents` has seen; of any, with all columns, behind `begin`. */
  appendEvent(event: UsageEvent): void {
    const { optional } = this;
    this.ensure(sizeBound(event));
    this.int16(this.columns);
    this.int64(event.tsMicros - POSTGRES_EPOCH_MICROS);
    this.uuid(event.eventId);
    this.text(event.tenantId);
    this.text(event.customerId);
    this.text(event.eventType);
    if (optional & TOKENS) this.bigint(event.tokens);
    if (optional & INPUT_TOKENS) this.bigint(event.inputTokens);
    if (optional & OUTPUT_TOKENS) this.bigint(event.outputTokens);
    if (optional & LATENCY_MS) this.double(event.latencyMs);
    if (optional & ENDPOINT) this.text(event.endpoint);
    if (optional & MODEL) this.text(event.model);
    if (optional & EXTERNAL_ID) this.text(event.externalId);
    if (optional & SOURCE_ID) this.text(event.sourceId);
    if (optional & REFERENCE) this.text(event.reference);
    if (optional & UNIT) this.text(event.unit);
    if (optional & VALUE) this.numeric(event.value);
    if (optional & METADATA) this.jsonb(event.metadata);
    this.nextFrame();
  }

  /** A row of `COPY meter_part`, behind `begin`. */
  appendPart(part: MeterPart): void {
    this.ensure(partSizeBound(part));
    this.int16(PART_COLUMNS.length);
    this.int32(part.seriesId);
    this.int64(part.bucketMicros - POSTGRES_EPOCH_MICROS);
    this.text(part.tenantId);
    this.text(part.customerId);
    this.texts(part.dims);
    this.int64(part.events);
    this.int64(part.counted);
    this.numeric(part.sum);
    this.numeric(part.min);
    this.numeric(part.max);
    this.bigint(part.latestAtMicros === null ? null : part.latestAtMicros - POSTGRES_EPOCH_MICROS);
    if (part.latestId === null) this.null();
    else this.uuid(part.latestId);
    this.numeric(part.latest);
    this.int64(part.ignoredMissing);
    this.int64(part.ignoredNull);
    this.int64(part.ignoredType);
    this.int64(part.ignoredRange);
    this.uuids(part.members);
    this.nextFrame();
  }

  private nextFrame(): void {
    if (this.at - this.frame < FRAME_BYTES) return;
    this.closeFrame();
    this.openFrame();
  }

  private openFrame(): void {
    this.ensure(FRAME_HEADER);
    this.frame = this.at;
    this.buffer[this.at] = COPY_DATA;
    this.at += FRAME_HEADER;
  }

  private closeFrame(): void {
    this.buffer.writeInt32BE(this.at - this.frame - 1, this.frame + 1);
  }

  private ensure(bytes: number): void {
    const needed = this.at + bytes;
    if (needed <= this.buffer.length) return;
    const grown = Buffer.allocUnsafeSlow(Math.max(needed, this.buffer.length * 2));
    this.buffer.copy(grown, 0, 0, this.at);
    this.replaceBuffer(grown);
  }

  /** @param buffer of an ArrayBuffer of its own. */
  private replaceBuffer(buffer: Buffer): void {
    this.buffer = buffer;
    this.view = new DataView(buffer.buffer);
  }

  private int16(value: number): void {
    this.view.setInt16(this.at, value);
    this.at += 2;
  }

  private null(): void {
    this.view.setInt32(this.at, -1);
    this.at += 4;
  }

  private int32(value: number): void {
    this.view.setInt32(this.at, 4);
    this.view.setInt32(this.at + 4, value);
    this.at += 8;
  }

  private int64(value: number): void {
    const { view, at } = this;
    const high = Math.floor(value / TWO_32);
    view.setInt32(at, 8);
    view.setInt32(at + 4, high);
    view.setUint32(at + 8, value - high * TWO_32);
    this.at = at + 12;
  }

  private bigint(value: number | null): void {
    if (value === null) this.null();
    else this.int64(value);
  }

  private double(value: number | null): void {
    if (value === null) {
      this.null();
      return;
    }
    this.view.setInt32(this.at, 8);
    this.view.setFloat64(this.at + 4, value);
    this.at += 12;
  }

  private uuid(text: string): void {
    const { buffer } = this;
    this.view.setInt32(this.at, 16);
    let at = this.at + 4;
    for (let i = 0; i < 36; i += 2) {
      if (i === 8 || i === 13 || i === 18 || i === 23) i++;
      buffer[at++] = hexByte(text, i);
    }
    this.at = at;
  }

  private uuidOf(words: Uint32Array, place: number): void {
    const { view, at } = this;
    view.setInt32(at, 16);
    view.setUint32(at + 4, words[place]!);
    view.setUint32(at + 8, words[place + 1]!);
    view.setUint32(at + 12, words[place + 2]!);
    view.setUint32(at + 16, words[place + 3]!);
    this.at = at + 20;
  }

  /** Short ASCII, the common case, is copied here: for a dozen bytes the call into Buffer costs more than the loop. */
  private text(value: string | null): void {
    if (value === null) {
      this.null();
      return;
    }
    const { buffer } = this;
    const from = this.at + 4;
    const length = value.length;
    let written = 0;
    if (length <= 32) {
      for (; written < length; written++) {
        const code = value.charCodeAt(written);
        if (code > 127) break;
        buffer[from + written] = code;
      }
    }
    if (written < length) written = buffer.write(value, from, 'utf8');
    this.view.setInt32(this.at, written);
    this.at = from + written;
  }

  /** text[] on the wire: dimensions, whether there are nulls, the element's type, length and first index, elements. */
  private texts(values: readonly (string | null)[]): void {
    const from = this.openArray(TEXT_OID, values.length, values.includes(null));
    for (const value of values) this.text(value);
    this.view.setInt32(from, this.at - from - 4);
  }

  private uuids(keys: readonly Buffer[] | null): void {
    if (keys === null) {
      this.null();
      return;
    }
    const from = this.openArray(UUID_OID, keys.length, false);
    for (const key of keys) {
      this.view.setInt32(this.at, 16);
      key.copy(this.buffer, this.at + 4);
      this.at += 20;
    }
    this.view.setInt32(from, this.at - from - 4);
  }

  /** @returns where its length is to be written. */
  private openArray(oid: number, length: number, nulls: boolean): number {
    const { view, at } = this;
    view.setInt32(at + 4, length > 0 ? 1 : 0);
    view.setInt32(at + 8, nulls ? 1 : 0);
    view.setInt32(at + 12, oid);
    this.at = at + 16;
    if (length > 0) {
      view.setInt32(at + 16, length);
      view.setInt32(at + 20, 1);
      this.at = at + 24;
    }
    return at;
  }

  /** jsonb on the wire: a version byte, then the JSON text. */
  private jsonb(value: string | null): void {
    if (value === null) {
      this.null();
      return;
    }
    const written = this.buffer.write(value, this.at + 5, 'utf8');
    this.buffer.writeInt32BE(written + 1, this.at);
    this.buffer[this.at + 4] = 1;
    this.at += 5 + written;
  }

  /** numeric on the wire: count of base-10000 digits, weight of the first, sign, scale, digits. */
  private numeric(value: string | null): void {
    if (value === null) {
      this.null();
      return;
    }
    if (value.length <= 8) {
      const integer = Number(value);
      if (Number.isInteger(integer) && integer > 0 && integer < TWO_DIGITS && !value.includes('.')) {
        this.smallInteger(integer);
        return;
      }
    }
    const negative = value.startsWith('-');
    const [whole = '', fraction = ''] = (negative ? value.slice(1) : value).split('.');
    const integer = whole === '0' ? '' : whole.padStart(Math.ceil(whole.length / 4) * 4, '0');
    const digits = integer + fraction.padEnd(Math.ceil(fraction.length / 4) * 4, '0');
    const count = digits.length / 4;
    const header = this.buffer.writeInt32BE(8 + count * 2, this.at);
    this.buffer.writeInt16BE(count, header);
    this.buffer.writeInt16BE(integer.length / 4 - 1, header + 2);
    this.buffer.writeUInt16BE(negative ? 0x4000 : 0, header + 4);
    this.buffer.writeInt16BE(fraction.length, header + 6);
    this.at = header + 8;
    for (let i = 0; i < digits.length; i += 4) {
      this.at = this.buffer.writeInt16BE(Number(digits.slice(i, i + 4)), this.at);
    }
  }

  /** What most sums are, in an eighth of the time. */
  private smallInteger(value: number): void {
    const { view, at } = this;
    const high = Math.floor(value / 10_000);
    const count = high > 0 ? 2 : 1;
    view.setInt32(at, 8 + count * 2);
    view.setInt16(at + 4, count);
    view.setInt16(at + 6, count - 1);
    view.setInt32(at + 8, 0); // sign and scale
    if (high > 0) view.setInt16(at + 12, high);
    view.setInt16(at + 10 + count * 2, value - high * 10_000);
    this.at = at + 12 + count * 2;
  }
}

function optionalOf(event: UsageEvent): number {
  return (
    (event.tokens === null ? 0 : TOKENS) |
    (event.inputTokens === null ? 0 : INPUT_TOKENS) |
    (event.outputTokens === null ? 0 : OUTPUT_TOKENS) |
    (event.latencyMs === null ? 0 : LATENCY_MS) |
    (event.endpoint === null ? 0 : ENDPOINT) |
    (event.model === null ? 0 : MODEL) |
    (event.externalId === null ? 0 : EXTERNAL_ID) |
    (event.sourceId === null ? 0 : SOURCE_ID) |
    (event.reference === null ? 0 : REFERENCE) |
    (event.unit === null ? 0 : UNIT) |
    (event.value === null ? 0 : VALUE) |
    (event.metadata === null ? 0 : METADATA)
  );
}

function bitsOf(mask: number): number {
  let bits = 0;
  for (let rest = mask; rest !== 0; rest &= rest - 1) bits++;
  return bits;
}

/** Upper bound (bytes) of an encoded row: fixed-width columns with their lengths, and three bytes per code unit. */
function sizeBound(event: UsageEvent): number {
  const codeUnits =
    event.tenantId.length +
    event.customerId.length +
    event.eventType.length +
    (event.externalId?.length ?? 0) +
    (event.sourceId?.length ?? 0) +
    (event.endpoint?.length ?? 0) +
    (event.model?.length ?? 0) +
    (event.reference?.length ?? 0) +
    (event.unit?.length ?? 0) +
    (event.metadata?.length ?? 0);
  return 256 + codeUnits * 3;
}

/** The same for a part: sums have no bound, but each digit is a byte at most. */
function partSizeBound(part: MeterPart): number {
  let codeUnits = part.tenantId.length + part.customerId.length;
  for (const dim of part.dims) codeUnits += 2 + (dim?.length ?? 0);
  for (const value of [part.sum, part.min, part.max, part.latest]) codeUnits += value?.length ?? 0;
  return 512 + codeUnits * 3 + (part.members?.length ?? 0) * 20;
}
