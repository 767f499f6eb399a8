import { createRoute, z } from '@hono/zod-openapi';
import { ValueRecord } from '../../events/dialects/record.ts';
import { answerEvents } from '../answerEvents.ts';
import type { App } from '../appEnv.ts';
import { formatOf } from '../eventFormat.ts';
import { ingestRequest, ingestResponses } from '../ingestSchemas.ts';
import { security } from '../schemas.ts';
import type { Services } from '../services.ts';

/** Made whenever the description is served, as the examples of events are. */
const exampleRecord = () => ({
  recordId: 'transfer-17',
  time: new Date().toISOString(),
  sourceId: 'ledger-1',
  destinationId: 'acme',
  type: 'positive',
  value: '12.50',
  unit: 'EUR',
  reference: 'invoice-9',
});

const postRecords = createRoute({
  method: 'post',
  path: '/v1/records',
  operationId: 'postRecords',
  tags: ['Records'],
  summary: 'Store signed value records',
  description:
    'One record, an array, or one per line (application/x-ndjson); gzip is understood. A record is stored as an event ' +
    'of type positive or negative about the customer destinationId. Answered once the records are durable. All or ' +
    'nothing, unless onInvalid=skip. Safe to repeat: a recordId is counted once. Send values as strings: a JSON number ' +
    'is a double, which holds about 15 digits.',
  security,
  request: {
    ...ingestRequest,
    body: {
      required: true,
      content: {
        'application/json': {
          schema: z.union([ValueRecord, z.array(ValueRecord)]),
          examples: {
            one: {
              summary: 'One record',
              get value() {
                return exampleRecord();
              },
            },
            several: {
              summary: 'Several records',
              get value() {
                const correction = {
                  recordId: 'transfer-18',
                  type: 'negative',
                  value: '0.000000000000000001',
                };
                return [exampleRecord(), { ...exampleRecord(), ...correction }];
              },
            },
          },
        },
        'application/x-ndjson': {
          schema: z.string(),
          get example() {
            return `${JSON.stringify(exampleRecord())}\n`;
          },
        },
      },
    },
  },
  responses: ingestResponses,
});

export function recordRoutes(app: App, services: Services): void {
  // Described like the others, but read by hand: a body of 10,000 records is validated record by record.
  app.openAPIRegistry.registerPath(postRecords);
  app.post('/v1/records', (c) => answerEvents(c, services, (request) => formatOf(request, 'record')));
}
