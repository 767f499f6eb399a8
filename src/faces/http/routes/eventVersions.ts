import { createRoute, z } from '@hono/zod-openapi';
import { WHEN } from '../../../intake/events/nativeEvent.ts';
import { stringifyJson } from '../../../model/json.ts';
import type { App } from '../appEnv.ts';
import { tenantOf } from '../context.ts';
import { eventId } from '../correctionSchemas.ts';
import { StoredEvent } from '../eventSchemas.ts';
import { microsOf } from '../range.ts';
import { CorrectionNote, conflict, json, security, tenantHeader, thingFailures } from '../schemas.ts';
import type { Services } from '../services.ts';

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
      CorrectionNote.extend({
        kind: z.enum(['void', 'restore', 'amend', 'backfill', 'revert']),
        at: z.string(),
      }),
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

export function eventVersionRoutes(app: App, services: Services): void {
  app.openapi(getEvent, async (c) => {
    const context = await tenantOf(c, services, 'read');
    const { timestamp } = c.req.valid('query');
    const tsMicros = timestamp === undefined ? null : microsOf('timestamp', timestamp);
    const { eventId } = c.req.valid('param');
    const event = await services.corrections.find(context, { clientId: eventId, tsMicros });
    // As c.json(event) would, but for numbers that are not to become doubles.
    return c.body(stringifyJson(event), 200, { 'Content-Type': 'application/json' }) as never;
  });
}
