import type { UsageEvent } from '../../model/usageEvent.ts';

/*
 * Rows in PostgreSQL's binary COPY format, framed as CopyData messages, ready for the socket
 * (PostgreSQL documentation: "COPY", Binary Format; "Message Formats", CopyData and CopyDone).
 */

/** Columns of `COPY event`, in the order `appendEvent` writes them. */
export const EVENT_COLUMNS = [
  'ts',
  'tokens',
  'input_tokens',
  'output_tokens',
  'latency_ms',
  'event_id',
  'tenant_id',
  'customer_id',
  'event_type',
  'external_id',
  'source_id',
  'endpoint',
  'model',
  'reference',
  'unit',
  'value',
  'metadata',
] as const;

/** Columns of `COPY event_identity`, in the order `appendIdentity` writes them. */
export const IDENTITY_COLUMNS = ['event_id', 'tenant_id'] as const;

const SIGNATURE = Buffer.from('PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0', 'latin1');
const COPY_DATA = 0x64;
const COPY_DONE = Buffer.from([0x63, 0, 0, 0, 4]);
const FRAME_HEADER = 5;
/** A frame ends after the row that passes this many bytes: the server parses one while the next arrives. */
const FRAME_BYTES = 65_536;
/** 2000-01-01 in microseconds since 1970: the epoch of timestamptz. */
const POSTGRES_EPOCH_MICROS = 946_684_800_000_000;
const TWO_32 = 4_294_967_296;

/** Hex digit value by character code. */
const NIBBLE = new Uint8Array(128);
for (let i = 0; i < 16; i++) {
  NIBBLE['0123456789abcdef'.charCodeAt(i)] = i;
}

/**
 * Encodes one COPY at a time into a buffer that is kept between batches, so a steady stream allocates nothing.
 * `take` hands out a view of it: use `begin` again only once the server has answered for it, and `discard` the
 * buffer when a connection broke, since the old socket may still hold it.
 */
export class CopyEncoder {
  private buffer: Buffer;
  private at = 0;
  private frame = 0;
  private start = 0;
  private ends: number[] = [];

  constructor(initialBytes = 262_144) {
    this.buffer = Buffer.allocUnsafeSlow(initialBytes);
  }

  /** Starts over, at the head of the buffer. */
  reset(): void {
    this.at = 0;
    this.ends = [];
  }

  discard(): void {
    this.buffer = Buffer.allocUnsafeSlow(this.buffer.length);
    this.reset();
  }

  /** Starts a COPY behind whatever has been taken since `reset`. */
  begin(): void {
    this.start = this.at;
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

  appendIdentity(event: UsageEvent): void {
    this.ensure(2 + 20 + 4 + event.tenantId.length * 3);
    this.at = this.buffer.writeInt16BE(IDENTITY_COLUMNS.length, this.at);
    this.uuid(event.eventId);
    this.text(event.tenantId);
    this.nextFrame();
  }

  appendEvent(event: UsageEvent): void {
    this.ensure(sizeBound(event));
    this.at = this.buffer.writeInt16BE(EVENT_COLUMNS.length, this.at);
    this.timestamp(event.tsMicros);
    this.bigint(event.tokens);
    this.bigint(event.inputTokens);
    this.bigint(event.outputTokens);
    this.double(event.latencyMs);
    this.uuid(event.eventId);
    this.text(event.tenantId);
    this.text(event.customerId);
    this.text(event.eventType);
    this.text(event.externalId);
    this.text(event.sourceId);
    this.text(event.endpoint);
    this.text(event.model);
    this.text(event.reference);
    this.text(event.unit);
    this.numeric(event.value);
    this.jsonb(event.metadata);
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
    this.buffer = grown;
  }

  private null(): void {
    this.at = this.buffer.writeInt32BE(-1, this.at);
  }

  private int64(value: number): void {
    const high = Math.floor(value / TWO_32);
    this.at = this.buffer.writeInt32BE(8, this.at);
    this.at = this.buffer.writeInt32BE(high, this.at);
    this.at = this.buffer.writeUInt32BE(value - high * TWO_32, this.at);
  }

  private timestamp(micros: number): void {
    this.int64(micros - POSTGRES_EPOCH_MICROS);
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
    this.at = this.buffer.writeInt32BE(8, this.at);
    this.at = this.buffer.writeDoubleBE(value, this.at);
  }

  private uuid(text: string): void {
    const { buffer } = this;
    let at = buffer.writeInt32BE(16, this.at);
    for (let i = 0; i < 36; i += 2) {
      if (i === 8 || i === 13 || i === 18 || i === 23) i++;
      buffer[at++] = (NIBBLE[text.charCodeAt(i)]! << 4) | NIBBLE[text.charCodeAt(i + 1)]!;
    }
    this.at = at;
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
    buffer.writeInt32BE(written, this.at);
    this.at = from + written;
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
