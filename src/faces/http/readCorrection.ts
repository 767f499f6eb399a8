import { isUtf8 } from 'node:buffer';
import { z } from '@hono/zod-openapi';
import type { Context } from 'hono';
import type { CorrectedEvent } from '../../intake/corrections/correction.ts';
import { parseEvents } from '../../intake/events/parseEvents.ts';
import { TidemarkError } from '../../model/errors.ts';
import { parseJson } from '../../model/json.ts';
import { parseTimestamp, timestampFault } from '../../model/timestamp.ts';
import type { AppEnv } from './appEnv.ts';
import { NamedEvents, reason } from './correctionSchemas.ts';
import { invalidRequest } from './invalidRequest.ts';
import { requestHeader } from './nodeHttp.ts';
import { readBody } from './readBody.ts';
import { eventRules } from './receiveEvents.ts';
import type { Services } from './services.ts';

/** What a body asks for. */
interface AskedCorrection {
  reason: string;
  events: CorrectedEvent[];
}

/** @throws {TidemarkError} `unsupported_media_type`, `invalid_encoding`, and what `readBody` throws. */
export async function correctionBody(c: Context<AppEnv>, services: Services): Promise<Buffer> {
  if (!/^application\/json\s*(;|$)/i.test(requestHeader(c, 'content-type') ?? '')) {
    throw new TidemarkError('unsupported_media_type', 'send application/json', {
      headers: { Accept: 'application/json' },
    });
  }
  const body = await readBody(c, services.config.http.maxBodyBytes);
  if (!isUtf8(body)) throw new TidemarkError('invalid_encoding', 'the body is not valid UTF-8');
  return body;
}

function parsed(body: Buffer): unknown {
  try {
    return parseJson(body.toString('utf8'));
  } catch (error) {
    throw new TidemarkError('invalid_json', `the body is not valid JSON: ${(error as Error).message}`);
  }
}

/** Events that are named. @throws {TidemarkError} `invalid_json`, `invalid_request`, `too_many_events`. */
export function namedEvents(body: Buffer, { config }: Services): AskedCorrection {
  const document = parsed(body);
  for (const list of ['ids', 'events']) {
    const sent = (document as Record<string, unknown> | null)?.[list];
    if (Array.isArray(sent)) requireRoom(sent.length, config.ingest.maxEventsPerRequest);
  }
  const { data, error } = NamedEvents.safeParse(document);
  if (error) throw invalidRequest(error.issues);
  const { reason, ids, events = [] } = data;
  if (ids) {
    return {
      reason,
      events: ids.map((clientId, index) => ({ clientId, tsMicros: null, index, pointer: `/ids/${index}` })),
    };
  }
  return {
    reason,
    events: events.map(({ eventId: clientId, timestamp }, index) => ({
      clientId,
      tsMicros: timestamp === undefined ? null : microsOf(String(timestamp), index),
      index,
      pointer: `/events/${index}/eventId`,
    })),
  };
}

function microsOf(text: string, index: number): number {
  const micros = parseTimestamp(text);
  if (Number.isSafeInteger(micros)) return micros;
  const path = ['events', index, 'timestamp'];
  const message = Number.isNaN(micros) ? timestampFault(text) : 'is out of bounds';
  throw invalidRequest([{ path, code: 'custom', message, params: { code: 'timestamp_invalid' } }]);
}

/** Events as they are to be. @throws {TidemarkError} `invalid_json`, `invalid_request`; `invalid_events`, `tenant_mismatch` with the faults. */
export function amendment(body: Buffer, services: Services, tenantId: string): AskedCorrection {
  const document = parsed(body);
  if (typeof document !== 'object' || document === null || Array.isArray(document)) {
    throw new TidemarkError('invalid_request', 'the body must be an object with reason and events');
  }
  const { events: sent, ...rest } = document as Record<string, unknown>;
  const { data, error } = z.strictObject({ reason }).safeParse(rest);
  if (error) throw invalidRequest(error.issues);
  if (!Array.isArray(sent)) {
    throw invalidRequest([
      { path: ['events'], code: 'custom', message: 'must be an array', params: { code: 'invalid_type' } },
    ]);
  }
  const { maxEventsPerRequest } = services.config.ingest;
  const format = { dialect: 'native', framing: 'json', envelope: 'events' } as const;
  const { events, indexes, faults } = parseEvents(
    body,
    format,
    eventRules(services, tenantId),
    maxEventsPerRequest,
  );
  if (faults.length > 0) {
    const code = faults.some((fault) => fault.code === 'tenant_mismatch')
      ? 'tenant_mismatch'
      : 'invalid_events';
    throw new TidemarkError(code, 'some of the events cannot be like this; nothing was changed', {
      errors: faults,
    });
  }
  return {
    reason: data.reason,
    events: events.map((version, i) => ({
      clientId: version.externalId ?? String((sent[indexes[i]!] as { eventId: unknown }).eventId),
      tsMicros: null,
      version,
      index: indexes[i]!,
      pointer: '/eventId',
    })),
  };
}

function requireRoom(events: number, most: number): void {
  if (events > most)
    throw new TidemarkError('too_many_events', `a correction may name at most ${most} events`);
}
