import { createHash } from 'node:crypto';
import type { Context } from 'hono';
import { v7 as uuidV7 } from 'uuid';
import { parseJson } from '../../../../model/json.ts';
import { formatTimestamp, parseTimestamp } from '../../../../model/timestamp.ts';
import { bodyOfEvents, storeEvents } from '../../answerEvents.ts';
import type { App, AppEnv } from '../../appEnv.ts';
import { requestHeader } from '../../nodeHttp.ts';
import type { Services } from '../../services.ts';
import { requireUtf8 } from '../../utf8.ts';
import { jsonAnswer } from '../answers.ts';
import { readForm } from './readForm.ts';

const OPTIONS = {
  format: { dialect: 'stripe', framing: 'json' },
  onInvalid: 'reject',
  async: false,
} as const;
const STREAM = { ...OPTIONS, format: { ...OPTIONS.format, envelope: 'events' } } as const;

/** What was sent and accepted. */
interface Sent {
  event_name: string;
  identifier?: string;
  payload: Record<string, string>;
  timestamp?: string | number;
}

export function meterEventRoutes(app: App, services: Services): void {
  app.post('/v1/billing/meter_events', async (c) => {
    const event = readForm(requireUtf8(await bodyOfEvents(c, services)));
    delete event.expand; // says what the answer is to have
    const identifier = idByKey(c) ?? uuidV7();
    await storeEvents(c, services, Buffer.from(JSON.stringify(event)), {
      ...OPTIONS,
      rules: rulesBy(identifier),
    });
    const { at, ...sent } = answered(event as unknown as Sent, identifier, c.get('arrivedAt'));
    const seconds = (ms: number) => Math.floor(ms / 1_000);
    return jsonAnswer(c, {
      object: 'billing.meter_event',
      created: seconds(c.get('arrivedAt')),
      ...sent,
      livemode: true,
      timestamp: seconds(at),
    });
  });

  app.post('/v2/billing/meter_events', async (c) => {
    const body = await bodyOfEvents(c, services);
    const identifier = idByKey(c) ?? uuidV7();
    await storeEvents(c, services, body, { ...OPTIONS, rules: rulesBy(identifier) });
    const event = parseJson(requireUtf8(body)) as Sent;
    const { at, ...sent } = answered(event, identifier, c.get('arrivedAt'));
    return jsonAnswer(c, {
      object: 'v2.billing.meter_event',
      created: new Date(c.get('arrivedAt')).toISOString(),
      ...sent,
      livemode: true,
      timestamp: formatTimestamp(at * 1_000),
    });
  });

  app.post('/v2/billing/meter_event_stream', async (c) => {
    const body = await bodyOfEvents(c, services);
    const key = idByKey(c);
    const rules = key === undefined ? {} : { fallbackId: (index: number) => `${key}:${index}` };
    await storeEvents(c, services, body, { ...STREAM, rules });
    return jsonAnswer(c, {});
  });
}

/** Characters of a key that are an identity as they are; of a longer one its digest decides. */
const MAX_KEY = 200;

/**
 * The identity of an event that has none: what its client repeats with the request, as it does of itself. Kept apart
 * from identifiers, and short enough for one. undefined: the request has no key, and is one of its own. Its request id
 * is no key: what is in front of a service may give several requests one.
 */
function idByKey(c: Context<AppEnv>): string | undefined {
  const key = requestHeader(c, 'idempotency-key');
  if (!key) return undefined;
  if (key.length <= MAX_KEY) return `stripe:${key}`;
  const digest = createHash('sha256').update(key).digest('hex');
  return `stripe:${key.slice(0, MAX_KEY - digest.length)}${digest}`;
}

function rulesBy(identifier: string) {
  return { fallbackId: () => identifier };
}

/** @param receivedMs the time of an event that has none. */
function answered(event: Sent, otherwise: string, receivedMs: number) {
  const { event_name, identifier = otherwise, payload, timestamp } = event;
  const micros = timestamp === undefined ? receivedMs * 1_000 : parseTimestamp(String(timestamp));
  return { event_name, identifier, payload, at: micros / 1_000 };
}
