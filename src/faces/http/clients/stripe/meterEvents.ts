import { parseJson } from '../../../../model/json.ts';
import { formatTimestamp, parseTimestamp } from '../../../../model/timestamp.ts';
import { bodyOfEvents, storeEvents } from '../../answerEvents.ts';
import type { App } from '../../appEnv.ts';
import { requestHeader } from '../../nodeHttp.ts';
import type { Services } from '../../services.ts';
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
    const event = readForm((await bodyOfEvents(c, services)).toString('utf8'));
    delete event.expand; // says what the answer is to have
    const identifier = idOf(requestHeader(c, 'idempotency-key'), c.get('requestId'));
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
    const identifier = idOf(requestHeader(c, 'idempotency-key'), c.get('requestId'));
    await storeEvents(c, services, body, { ...OPTIONS, rules: rulesBy(identifier) });
    const event = parseJson(body.toString('utf8')) as Sent;
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
    const key = idOf(requestHeader(c, 'idempotency-key'), c.get('requestId'));
    const rules = { fallbackId: (index: number) => `${key}:${index}` };
    await storeEvents(c, services, body, { ...STREAM, rules });
    return jsonAnswer(c, {});
  });
}

/**
 * The identity of an event that has none: what its client repeats with the request, as it does of itself. Kept apart
 * from identifiers, and short enough for one.
 */
function idOf(idempotencyKey: string | undefined, requestId: string): string {
  return `stripe:${(idempotencyKey ?? requestId).slice(0, 200)}`;
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
