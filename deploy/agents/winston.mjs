// Events by winston 3: `meter.info(event)`, beside the application's own logger. docs/shippers.md
import { randomUUID } from 'node:crypto';
import { createLogger } from 'winston';
import Transport from 'winston-transport';

const MOST_WAITING = 10_000;
const MOST_AT_ONCE = 500;
const WAIT_MS = 1_000;
const TIMEOUT_MS = 10_000;

/**
 * winston's own Http transport throws away what is not answered with 200. This one repeats what a service that is away or
 * overloaded has not taken, and emits `warn` for what will never be taken.
 */
export class TidemarkTransport extends Transport {
  waiting = [];
  sending = null;

  constructor({ url, key, ...options }) {
    super(options);
    this.url = url;
    this.key = key;
  }

  /** winston has what it was given in `message`. */
  log({ message: event }, done) {
    // An identity and a time of its own, so that repeating it counts once.
    this.waiting.push({ eventId: randomUUID(), timestamp: new Date().toISOString(), ...event });
    if (this.waiting.length > MOST_WAITING)
      this.emit('warn', new Error(`lost: ${this.waiting.shift().eventId}`));
    this.sending ??= this.send().finally(() => {
      this.sending = null;
    });
    done();
  }

  async send() {
    await pause(WAIT_MS / 10); // for others to come along
    for (let failures = 0; this.waiting.length > 0; ) {
      const batch = this.waiting.slice(0, MOST_AT_ONCE);
      const answer = await fetch(this.url, {
        method: 'POST',
        headers: { authorization: `Bearer ${this.key}`, 'content-type': 'application/json' },
        body: JSON.stringify(batch),
        signal: AbortSignal.timeout(TIMEOUT_MS),
      }).catch((error) => ({ status: 0, text: async () => String(error.cause ?? error) }));
      const text = await answer.text();
      if ([400, 413, 415, 422].includes(answer.status)) this.emit('warn', new Error(text));
      else if (answer.status !== 200) {
        await pause(Math.min(30_000, WAIT_MS * 2 ** failures++));
        continue;
      } else if (JSON.parse(text).rejected > 0) this.emit('warn', new Error(text));
      failures = 0;
      this.waiting.splice(0, batch.length);
    }
  }

  /** Before the process ends: what waits is sent. */
  async close() {
    await this.sending;
  }
}

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

export function createMeter({ url = 'http://127.0.0.1:8080/v1/events?onInvalid=skip', key }) {
  return createLogger({ transports: [new TidemarkTransport({ url, key })] });
}
