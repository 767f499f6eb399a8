import { z } from '@hono/zod-openapi';
import { verdict } from './meterSchemas.ts';
import { CorrectionNote } from './schemas.ts';

/** An event as it is stored. */
export const StoredEvent = z
  .object({
    eventId: z.string(),
    timestamp: z.string(),
    receivedAt: z.string(),
    tenantId: z.string(),
    customerId: z.string(),
    eventType: z.string(),
    apiEndpoint: z.string().optional(),
    sourceId: z.string().optional(),
    reference: z.string().optional(),
    unit: z.string().optional(),
    value: z.string().optional(),
    metadata: z.record(z.string(), z.unknown()),
    voidedAt: z
      .string()
      .optional()
      .openapi({ description: 'Since when it counts nowhere. Left out: it counts.' }),
    correction: CorrectionNote.optional().openapi({ description: 'What made it void.' }),
    meters: z
      .array(z.object({ slug: z.string(), ...verdict }))
      .optional()
      .openapi({ description: 'With meters=true: what the event is to each meter of its type.' }),
  })
  .openapi('StoredEvent');
