import { z } from '@hono/zod-openapi';
import { NativeEvent, WHEN, When } from '../../intake/events/nativeEvent.ts';
import { refuse } from './refusal.ts';
import { text } from './schemas.ts';

const MAX_REASON = 1_024;
/** Longest id of an event as it is shown: of a CloudEvent, source and id. */
const MAX_SHOWN_ID = 1_024;

export const reason = text(MAX_REASON).openapi({
  description: 'Why. It stands in the audit log and in the history.',
});
export const eventId = text(MAX_SHOWN_ID).openapi({
  description: 'As the event was posted, or as it is listed.',
});

export const NamedEvents = z
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

export const Amendment = z.strictObject({ reason, events: z.array(NativeEvent).min(1) }).openapi('Amendment');

export const examples = {
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

export const Correction = z
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
