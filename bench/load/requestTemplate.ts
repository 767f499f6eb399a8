import { fillRandomIds, markerId, writeIdText } from './eventIds.ts';
import { type VirtualTime, virtualAt } from './virtualTime.ts';
import { asNative, type Members, makeEvent, seededRandom, TENANT } from './workload.ts';

export interface TemplateOptions {
  host: string;
  path: string;
  headers: Record<string, string>;
  /** Events in one request. One event is posted as an object, several as an array. */
  events: number;
  seed: number;
  /** Whose events they are, in turn within the request, where it is not the usual tenant. */
  tenants?: readonly string[] | undefined;
  /** Of each tenant, where they are not the usual ones. */
  customers?: readonly string[] | undefined;
  /** What the metadata have besides; nothing where there is none. */
  members?: Members | undefined;
  /** What the clock of the events shows; the real time where there is none. */
  time?: VirtualTime | undefined;
}

/** Characters of a time up to its milliseconds: `2026-11-29T14:40:20.` */
const SECOND_DIGITS = 20;

/** A whole HTTP request in one buffer, into which fresh ids and the time are written before each sending. */
export class RequestTemplate {
  readonly buffer: Buffer;
  readonly events: number;
  private readonly idsAt: number[] = [];
  private readonly timesAt: number[] = [];
  private readonly ids: Buffer;
  private readonly time: VirtualTime;
  /** Where within the time of a request its events lie, from 0 to 1, ascending. */
  private readonly moments: Float64Array;

  constructor(options: TemplateOptions) {
    const { host, path, headers, events, seed, tenants = [TENANT], customers, members, time } = options;
    this.time = time ?? { from: 0, factor: 1 };
    const random = seededRandom(seed);
    const made = Array.from({ length: events }, (_, i) => ({
      ...asNative(makeEvent(random, markerId(i), 0, customers, members)),
      tenantId: tenants[i % tenants.length],
    }));
    this.moments = Float64Array.from(made, random).sort();
    const body = Buffer.from(JSON.stringify(events === 1 ? made[0] : made));
    const lines = Object.entries({
      Host: host,
      'Content-Type': 'application/json',
      'Content-Length': String(body.length),
      ...headers,
    }).map(([name, value]) => `${name}: ${value}\r\n`);
    const head = Buffer.from(`POST ${path} HTTP/1.1\r\n${lines.join('')}\r\n`);
    this.buffer = Buffer.concat([head, body]);
    this.events = events;
    this.ids = Buffer.alloc(events * 16);
    const epoch = new Date(0).toISOString();
    for (let i = 0, at = head.length; i < events; i++) {
      at = this.buffer.indexOf(markerId(i), at);
      this.idsAt.push(at);
      at = this.buffer.indexOf(epoch, at);
      this.timesAt.push(at);
    }
  }

  /** Makes the events of the buffer new ones that happen now. Not while the last sending is under way. */
  renew(): void {
    this.renewIds();
    const { buffer, timesAt, time } = this;
    const first = timesAt[0]!;
    const now = new Date(virtualAt(time, Date.now())).toISOString();
    const end = first + buffer.write(now, first, 'latin1');
    for (let i = 1; i < timesAt.length; i++) buffer.copy(buffer, timesAt[i]!, first, end);
  }

  /**
   * Makes them new ones that have happened at moments of their own within [from, from + lastMs), ms since the epoch.
   * Not while the last sending is under way.
   */
  renewWithin(from: number, lastMs: number): void {
    this.renewIds();
    const { buffer, timesAt, moments } = this;
    let second = Number.NaN;
    let prefix = '';
    for (let i = 0; i < timesAt.length; i++) {
      const ms = Math.floor(from + moments[i]! * lastMs);
      const ofSecond = ms % 1_000;
      if (ms - ofSecond !== second) {
        second = ms - ofSecond;
        prefix = new Date(second).toISOString().slice(0, SECOND_DIGITS);
      }
      const at = timesAt[i]!;
      buffer.write(prefix, at, 'latin1');
      buffer[at + SECOND_DIGITS] = 0x30 + Math.floor(ofSecond / 100);
      buffer[at + SECOND_DIGITS + 1] = 0x30 + (Math.floor(ofSecond / 10) % 10);
      buffer[at + SECOND_DIGITS + 2] = 0x30 + (ofSecond % 10);
    }
  }

  private renewIds(): void {
    const { buffer, ids, idsAt } = this;
    fillRandomIds(ids);
    for (let i = 0; i < idsAt.length; i++) writeIdText(ids, i * 16, buffer, idsAt[i]!);
  }
}
