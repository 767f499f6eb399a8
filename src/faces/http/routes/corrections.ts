import { createRoute } from '@hono/zod-openapi';
import type { CorrectionResult, EventCorrectionKind } from '../../../intake/corrections/correction.ts';
import { actorOf } from '../actor.ts';
import type { App } from '../appEnv.ts';
import { tenantOf } from '../context.ts';
import { Amendment, Correction, examples, NamedEvents } from '../correctionSchemas.ts';
import { amendment, correctionBody, namedEvents } from '../readCorrection.ts';
import {
  bodyFailures,
  conflict,
  json,
  problemAnswer,
  security,
  tenantFailures,
  tenantHeader,
} from '../schemas.ts';
import type { Services } from '../services.ts';

const answers = {
  200: json(Correction, 'What was corrected: it is in the next read'),
  ...tenantFailures,
  ...bodyFailures,
  ...conflict('An event is void already, or is not: see errors; nothing was changed'),
  422: problemAnswer('An event is named twice, or cannot be like this: see errors; nothing was changed'),
};

const posts = (kind: EventCorrectionKind, summary: string, description: string) =>
  createRoute({
    method: 'post',
    path: `/v1/events/${kind}`,
    operationId: `${kind}Events`,
    tags: ['Corrections'],
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

export function correctionRoutes(app: App, services: Services): void {
  // Described like the others, but read by hand: a body of 10,000 events is checked event by event.
  for (const route of [postVoid, postRestore]) {
    const kind = route === postVoid ? 'void' : 'restore';
    app.openAPIRegistry.registerPath(route);
    app.post(route.path, async (c) => {
      const context = await tenantOf(c, services, 'correct');
      const { reason, events } = namedEvents(await correctionBody(c, services), services);
      const request = { kind, context, actor: actorOf(c, services), reason, events } as const;
      return c.json(answerOf(await services.corrections.correct(request)), 200);
    });
  }

  app.openAPIRegistry.registerPath(postAmend);
  app.post(postAmend.path, async (c) => {
    const context = await tenantOf(c, services, 'correct');
    const { reason, events } = amendment(await correctionBody(c, services), services, context.tenantId);
    const request = { kind: 'amend', context, actor: actorOf(c, services), reason, events } as const;
    return c.json(answerOf(await services.corrections.correct(request)), 200);
  });
}

function answerOf({ id, at, corrected, windows, unknown }: CorrectionResult) {
  return { correctionId: id, at, events: corrected, windows, unknown };
}
