// Events by pino 10: pino({ ... }, pino.transport({ target: './pino.mjs', options: { key } })), then `meter.info(event)`.
// Runs in pino's worker thread. docs/shippers.md
import { randomUUID } from 'node:crypto';
import build from 'pino-abstract-transport';

const MOST_AT_ONCE = 500;
const WAIT_MS = 1_000;
const TIMEOUT_MS = 10_000;

/**
 * Sends what comes in batches. While the service is away or overloaded it repeats the batch, and reads no further: pino holds
 * the rest back in its buffer, and then drops or blocks as `sync` says. When the process ends, what was read is sent first, for at
 * most the 10 s that pino waits.
 */
export default function tidemark({ url = 'http://127.0.0.1:8080/v1/events?onInvalid=skip', key }) {
  let sent;
  const sendAll = async (source) => {
    let batch = [];
    let sending = null;
    for await (const { level, time, pid, hostname, msg, ...event } of source) {
      // An identity and a time of its own, so that repeating it counts once.
      batch.push({ eventId: randomUUID(), timestamp: new Date(time).toISOString(), ...event });
      if (batch.length >= MOST_AT_ONCE) await sending;
      sending ??= pause(WAIT_MS / 10).then(async () => {
        const all = batch;
        batch = [];
        await send(all, url, key);
        sending = null;
      });
    }
    await sending;
    if (batch.length > 0) await send(batch, url, key);
  };
  return build(
    (source) => {
      sent = sendAll(source);
      return sent;
    },
    // The worker ends once its stream is closed, whatever is under way.
    { close: () => sent.catch(() => {}) },
  );
}

async function send(batch, url, key) {
  for (let failures = 0; ; failures++) {
    const answer = await fetch(url, {
      method: 'POST',
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
      body: JSON.stringify(batch),
      signal: AbortSignal.timeout(TIMEOUT_MS),
    }).catch((error) => ({ status: 0, text: async () => String(error.cause ?? error) }));
    const text = await answer.text();
    if (answer.status === 200 && !(JSON.parse(text).rejected > 0)) return;
    if ([200, 400, 413, 415, 422].includes(answer.status)) return console.error('tidemark:', text);
    await pause(Math.min(30_000, WAIT_MS * 2 ** failures));
  }
}

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
