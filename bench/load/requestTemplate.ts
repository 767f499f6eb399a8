import { fillRandomIds, markerId, writeIdText } from './eventIds.ts';
import { type VirtualTime, virtualAt } from './virtualTime.ts';
import { asNative, makeEvent, seededRandom } from './workload.ts';

export interface TemplateOptions {
  host: string;
  path: string;
  headers: Record<string, string>;
  /** Events in one request. One event is posted as an object, several as an array. */
  events: number;
  seed: number;
  /** Whose events they are, where it is not the usual tenant. */
  tenantId?: string | undefined;
  /** What the clock of the events shows; the real time where there is none. */
  time?: VirtualTime | undefined;
}

/** A whole HTTP request in one buffer, into which fresh ids and the time are written before each sending. */
export class RequestTemplate {
  readonly buffer: Buffer;
  readonly events: number;
  private readonly idsAt: number[] = [];
  private readonly timesAt: number[] = [];
  private readonly ids: Buffer;
  private readonly time: VirtualTime;

  constructor({ host, path, headers, events, seed, tenantId, time }: TemplateOptions) {
    this.time = time ?? { from: 0, factor: 1 };
    const random = seededRandom(seed);
    const made = Array.from({ length: events }, (_, i) => ({
      ...asNative(makeEvent(random, markerId(i), 0)),
      ...(tenantId !== undefined && { tenantId }),
    }));
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
    const { buffer, ids, idsAt, timesAt, time } = this;
    fillRandomIds(ids);
    for (let i = 0; i < idsAt.length; i++) writeIdText(ids, i * 16, buffer, idsAt[i]!);
    const first = timesAt[0]!;
    const now = new Date(virtualAt(time, Date.now())).toISOString();
    const end = first + buffer.write(now, first, 'latin1');
    for (let i = 1; i < timesAt.length; i++) buffer.copy(buffer, timesAt[i]!, first, end);
  }
}
