import { isUtf8 } from 'node:buffer';
import { createRoute, z } from '@hono/zod-openapi';
import type { Context } from 'hono';
import type {
  CorrectedEvent,
  CorrectionKind,
  CorrectionResult,
} from '../../../intake/corrections/correction.ts';
import { NativeEvent, WHEN, When } from '../../../intake/events/nativeEvent.ts';
import { parseEvents } from '../../../intake/events/parseEvents.ts';
import { TidemarkError } from '../../../model/errors.ts';
import { parseJson, stringifyJson } from '../../../model/json.ts';
import { parseTimestamp, timestampFault } from '../../../model/timestamp.ts';
import { WINDOW_MS } from '../../../model/window.ts';
import { revisionEvents, windowHistory } from '../../../sums/corrections/windowHistory.ts';
import { actorOf } from '../actor.ts';
import type { App, AppEnv } from '../appEnv.ts';
import { tenantOf } from '../context.ts';
import { StoredEvent } from '../eventSchemas.ts';
import { invalidRequest } from '../invalidRequest.ts';
import { requestHeader } from '../nodeHttp.ts';
import { rangeOfTenant } from '../ofTenant.ts';
import { instantOf, momentOf, parseRange } from '../range.ts';
import { readBody } from '../readBody.ts';
import { eventRules } from '../receiveEvents.ts';
import { refuse } from '../refusal.ts';
import {
  bodyFailures,
  CorrectionNote,
  conflict,
  id,
  json,
  jsonPage,
  pageQuery,
  problemAnswer,
  security,
  tenantFailures,
  tenantHeader,
  text,
  thingFailures,
} from '../schemas.ts';
import type { Services } from '../services.ts';

const tags = ['Corrections'];
const HOUR_MS = 3_600_000;
const MAX_REASON = 1_024;
/** Longest id of an event as it is shown: of a CloudEvent, source and id. */
const MAX_SHOWN_ID = 1_024;

const reason = text(MAX_REASON).openapi({
  description: 'Why. It stands in the audit log and in the history.',
});
const eventId = text(MAX_SHOWN_ID).openapi({ description: 'As the event was posted, or as it is listed.' });

const NamedEvents = z
  .strictObject({
    reason,
    ids: z.array(eventId).min(1).optional().openapi({ description: 'Either ids, or events.' }),
    events: z
      .array(
        z.strictObject({
          eventId,
          timestamp: When.optional().openapi({
            format: 'date-time',
            description: `When it happened, just so: it is then found at once, and also past the identity horizon. ${WHEN}`,
          }),
        }),
      )
      .min(1)
      .optional(),
  })
  .superRefine(({ ids, events }, issues) => {
    if ((ids === undefined) === (events === undefined)) {
      refuse(issues, [], {
        code: ids === undefined ? 'required' : 'not_allowed',
        message: 'must have either ids or events',
      });
    }
  })
  .openapi('NamedEvents');

const Amendment = z.strictObject({ reason, events: z.array(NativeEvent).min(1) }).openapi('Amendment');

const examples = {
  named: { reason: 'sent twice by the importer', ids: ['order-17/line-2'] },
  /** Made whenever the description is served: an event of a fixed time would soon be too old. */
  get amended() {
    return {
      reason: 'the price of the line was wrong',
      events: [
        {
          eventId: 'order-17/line-2',
          timestamp: new Date().toISOString(),
          customerId: 'acme',
          eventType: 'order.line',
          value: '12.50',
          unit: 'EUR',
        },
      ],
    };
  },
};

const Correction = z
  .object({
    correctionId: z
      .uuid()
      .nullable()
      .openapi({ description: 'null: no id is known, and nothing was changed.' }),
    at: z.string().nullable().openapi({ description: 'From when on it counts.' }),
    events: z.int().openapi({ description: 'Events corrected.' }),
    windows: z
      .int()
      .openapi({ description: 'Windows of a customer that have changed: each has one more revision.' }),
    unknown: z
      .array(z.string())
      .openapi({ description: 'Ids of which no event is known; the others are corrected.' }),
  })
  .openapi('Correction');

const answers = {
  200: json(Correction, 'What was corrected: it is in the next read'),
  ...tenantFailures,
  ...bodyFailures,
  ...conflict('An event is void already, or is not: see errors; nothing was changed'),
  422: problemAnswer('An event is named twice, or cannot be like this: see errors; nothing was changed'),
};

const posts = (kind: CorrectionKind, summary: string, description: string) =>
  createRoute({
    method: 'post',
    path: `/v1/events/${kind}`,
    operationId: `${kind}Events`,
    tags,
    summary,
    description,
    security,
    request: {
      headers: tenantHeader,
      body: {
        required: true,
        content: {
          'application/json': {
            schema: kind === 'amend' ? Amendment : NamedEvents,
            get example() {
              return kind === 'amend' ? examples.amended : examples.named;
            },
          },
        },
      },
    },
    responses: answers,
  });

const postVoid = posts(
  'void',
  'Have events count no more',
  'All that are known, or none: one transaction, of up to 10,000 events. From the next read on they are in no sum, of no ' +
    'granularity, meter, session, counter or record group. Their ids stay known. Needs the scope correct. See docs/corrections.md.',
);
const postRestore = posts(
  'restore',
  'Have void events count again',
  'As they were when they became void; all of them, or none. Needs the scope correct.',
);
const postAmend = posts(
  'amend',
  'Have other versions of events count',
  'Whole events, by their ids: each takes the place of the one with its id, which stays as an earlier version. All that ' +
    'are known, or none. They are checked as if they were posted now. Needs the scope correct.',
);

const state = z.enum(['counted', 'voided', 'superseded']).openapi({
  description:
    'counted: it is in all sums. voided: in none. superseded: another version has taken its place.',
});

const VersionedEvent = z
  .object({
    eventId: z.string(),
    state,
    versions: z.array(z.object({ version: z.int(), state, event: StoredEvent })),
    corrections: z.array(
      CorrectionNote.extend({ kind: z.enum(['void', 'restore', 'amend']), at: z.string() }),
    ),
  })
  .openapi('VersionedEvent');

const getEvent = createRoute({
  method: 'get',
  path: '/v1/events/{eventId}',
  operationId: 'getEvent',
  tags: ['Events'],
  summary: 'One event with its versions, and its corrections',
  description:
    'Looked for around the moment that it was received; with its timestamp it is found at once, also past the identity horizon.',
  security,
  request: {
    headers: tenantHeader,
    params: z.object({ eventId }),
    query: z.strictObject({
      timestamp: z.string().max(64).optional().openapi({ format: 'date-time', description: WHEN }),
    }),
  },
  responses: {
    200: json(VersionedEvent, 'The event'),
    ...thingFailures,
    ...conflict('Several events of different formats are called so: tell the timestamp'),
  },
});

const WindowRevision = z
  .object({
    windowStart: z.string(),
    customerId: z.string(),
    revision: z.int(),
    at: z.string(),
    cause: z.enum(['late', 'void', 'restore', 'amend']),
    events: z.int().nullable().openapi({
      description:
        'Events that came, went or changed. null: written by an earlier version, which did not tell.',
    }),
    difference: z
      .object({
        calls: z.int(),
        tokens: z.int(),
        inputTokens: z.int(),
        outputTokens: z.int(),
        value: z.string(),
      })
      .nullable()
      .openapi({ description: 'What was added to the sums.' }),
    correction: CorrectionNote.optional(),
  })
  .openapi('WindowRevision');

const getHistory = createRoute({
  method: 'get',
  path: '/v1/windows/history',
  operationId: 'listWindowRevisions',
  tags,
  summary: 'Why windows have changed',
  description:
    'The revisions of windows that start in the range, by start, customer and number: late events and corrections. Kept as long ' +
    'as the windows. Default range: the last hour. At most 31 days.',
  security,
  request: rangeOfTenant({
    customerId: id.optional(),
    windowStart: z.string().max(64).optional().openapi({
      format: 'date-time',
      description: 'Only the window that starts here, in place of from and to.',
    }),
  }),
  responses: { 200: jsonPage(WindowRevision, 'WindowRevisionPage', 'Revisions'), ...tenantFailures },
});

const getRevisionEvents = createRoute({
  method: 'get',
  path: '/v1/windows/{windowStart}/customers/{customerId}/revisions/{revision}/events',
  operationId: 'listRevisionEvents',
  tags,
  summary: 'The events of one revision of a window',
  description: 'Those of late ones as long as single events are kept.',
  security,
  request: {
    headers: tenantHeader,
    params: z.object({
      windowStart: z.string().max(64),
      customerId: id,
      revision: z.coerce.number().int().min(1).max(2_147_483_647),
    }),
    query: z.strictObject(pageQuery(100, 1_000)),
  },
  responses: {
    200: jsonPage(
      z
        .object({
          eventId: z.string(),
          counts: z.boolean().openapi({ description: 'Whether it is in the window from this revision on.' }),
        })
        .openapi('RevisionEvent'),
      'RevisionEventPage',
      'Events',
    ),
    ...thingFailures,
  },
});

export function correctionRoutes(app: App, services: Services): void {
  // Described like the others, but read by hand: a body of 10,000 events is checked event by event.
  for (const route of [postVoid, postRestore]) {
    const kind = route === postVoid ? 'void' : 'restore';
    app.openAPIRegistry.registerPath(route);
    app.post(route.path, async (c) => {
      const context = await tenantOf(c, services, 'correct');
      const { reason, events } = namedEvents(await bodyOf(c, services), services);
      const request = { kind, context, actor: actorOf(c, services), reason, events } as const;
      return c.json(answerOf(await services.corrections.correct(request)), 200);
    });
  }

  app.openAPIRegistry.registerPath(postAmend);
  app.post(postAmend.path, async (c) => {
    const context = await tenantOf(c, services, 'correct');
    const { reason, events } = amendment(await bodyOf(c, services), services, context.tenantId);
    const request = { kind: 'amend', context, actor: actorOf(c, services), reason, events } as const;
    return c.json(answerOf(await services.corrections.correct(request)), 200);
  });

  app.openapi(getEvent, async (c) => {
    const context = await tenantOf(c, services, 'read');
    const { timestamp } = c.req.valid('query');
    const tsMicros = timestamp === undefined ? null : Math.round(momentOf('timestamp', timestamp) * 1_000);
    const { eventId } = c.req.valid('param');
    const event = await services.corrections.find(context, { clientId: eventId, tsMicros });
    // As c.json(event) would, but for numbers that are not to become doubles.
    return c.body(stringifyJson(event), 200, { 'Content-Type': 'application/json' }) as never;
  });

  app.openapi(getHistory, async (c) => {
    const context = await tenantOf(c, services, 'read');
    const { windowStart, ...query } = c.req.valid('query');
    if (windowStart !== undefined && (query.from !== undefined || query.to !== undefined)) {
      throw new TidemarkError('invalid_request', 'windowStart stands in the place of from and to');
    }
    const start = windowStart === undefined ? null : windowOf(windowStart);
    const range =
      start === null
        ? parseRange(query, {
            lengthMs: HOUR_MS,
            aheadMs: services.config.ingest.acceptAheadMs,
            maxMs: 31 * 24 * HOUR_MS,
          })
        : { from: start, to: start + WINDOW_MS };
    return c.json(
      await services.reads.inOneMoment(context, (db) => windowHistory(db, context, { ...query, ...range })),
      200,
    );
  });

  app.openapi(getRevisionEvents, async (c) => {
    const context = await tenantOf(c, services, 'read');
    const { customerId, windowStart, revision } = c.req.valid('param');
    const window = { customerId, start: windowOf(windowStart) };
    return c.json(
      await services.reads.inOneMoment(context, (db) =>
        revisionEvents(db, context, window, revision, c.req.valid('query')),
      ),
      200,
    );
  });
}

/** @throws {TidemarkError} `unsupported_media_type`, and what `readBody` throws. */
async function bodyOf(c: Context<AppEnv>, services: Services): Promise<Buffer> {
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

/** @throws {TidemarkError} `invalid_json`, `invalid_request`, `too_many_events`. */
function namedEvents(body: Buffer, { config }: Services): { reason: string; events: CorrectedEvent[] } {
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

/** @throws {TidemarkError} `invalid_json`, `invalid_request`; `invalid_events`, `tenant_mismatch` with the faults. */
function amendment(
  body: Buffer,
  services: Services,
  tenantId: string,
): { reason: string; events: CorrectedEvent[] } {
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

/** @throws {TidemarkError} `range_invalid`. */
function windowOf(windowStart: string): number {
  const start = instantOf('windowStart', windowStart);
  if (start % WINDOW_MS === 0) return start;
  throw new TidemarkError('range_invalid', 'windowStart must be the start of a window of 30 seconds');
}

function answerOf({ id, at, corrected, windows, unknown }: CorrectionResult) {
  return { correctionId: id, at, events: corrected, windows, unknown };
}
