import { z } from '@hono/zod-openapi';
import type { Context } from 'hono';
import type { TenantContext } from '../../access/tenancy/tenantContext.ts';
import { jsonNumber, stringifyJson } from '../../model/json.ts';
import { meterCsv } from '../../outbound/exporting/meterCsv.ts';
import type { Meter } from '../../sums/meters/catalog/meter.ts';
import type { MeterPoint } from '../../sums/meters/reading/meterQuery.ts';
import { queryMeter } from '../../sums/meters/reading/queryMeter.ts';
import { meterBegins } from '../../sums/meters/reading/seriesState.ts';
import { GRANULARITIES } from '../../sums/rollups/granularity.ts';
import type { AppEnv } from './appEnv.ts';
import { asOfField, asOfParameter, pageAsOf } from './asOf.ts';
import { answerCsv, asOfHeader, wantsCsv } from './csv.ts';
import { meterQueryOf } from './meterQuery.ts';
import { MeterPointSchema } from './meterSchemas.ts';
import { pageQuery, pageSchema, rangeQuery } from './schemas.ts';
import type { Services } from './services.ts';

/** The parameters, for the description: they are read by hand, since the names of filters are the meter's. */
export const meterParameters = {
  ...rangeQuery,
  granularity: z.enum(GRANULARITIES).optional(),
  timezone: z.string().max(64).default('UTC').openapi({
    description: 'IANA name: hours, days and months are those of this zone.',
    example: 'Europe/Berlin',
  }),
  groupBy: z.string().optional().openapi({
    description: 'Comma-separated: dimensions of the meter, and customer.',
    example: 'customer',
  }),
  customerId: z
    .array(z.string())
    .optional()
    .openapi({ description: 'Only of this customer; several times: of these, at most 100.' }),
  filter: z
    .record(z.string(), z.array(z.string()))
    .optional()
    .openapi({ param: { style: 'deepObject', explode: true }, description: 'filter[model]=gpt-4' }),
  without: z.string().optional().openapi({
    description: 'Comma-separated dimensions: only what has no value of them.',
  }),
  asOf: asOfParameter,
  ...pageQuery(1_000, 10_000),
};

const { customerId: _, ...withoutCustomer } = meterParameters;

/** The same where one customer asks: whom else there is goes by nobody. */
export const ownMeterParameters = {
  ...withoutCustomer,
  groupBy: z.string().optional().openapi({
    description: 'Comma-separated dimensions of the meter.',
    example: 'region',
  }),
};

/** The answer of a route. */
export const meterAnswer = {
  description: 'The numbers',
  content: {
    'application/json': {
      schema: pageSchema(MeterPointSchema, 'MeterPointPage').extend({ asOf: asOfField }),
    },
    'text/csv': { schema: z.string() },
  },
};

/** Since when a meter can be told, in ms since the epoch: asked where nobody says from when on. */
export function meterBeginning(
  { reads }: Services,
  context: TenantContext,
  { seriesId }: Meter,
): () => Promise<number> {
  return () => reads.inOneMoment(context, (db) => meterBegins(db, context, seriesId));
}

/**
 * Answers with the numbers of a live meter that the parameters of the URL ask for, as JSON or CSV.
 *
 * @param only the one customer that it is about: `meterQueryOf` tells.
 * @throws {TidemarkError} what `meterQueryOf` throws, `cursor_invalid`; the reading `as_of_in_future`, `as_of_not_kept`.
 */
export async function answerMeter(
  c: Context<AppEnv>,
  services: Services,
  context: TenantContext,
  meter: Meter,
  only?: string,
) {
  const asked = new URL(c.req.url).searchParams;
  const begins = meterBeginning(services, context, meter);
  const { query, asOf } = await meterQueryOf(asked, meter.definition, services, begins, only);
  const read = pageAsOf({ asOf, from: query.fromMicros / 1_000, cursor: query.cursor }, (db, at) =>
    queryMeter(db, context, meter, { ...query, ...at }),
  );
  const page = await services.reads.inOneMoment(context, read);
  if (wantsCsv(c)) {
    return answerCsv(c, meterCsv(page.data, query.groupBy), page.nextCursor, asOfHeader(page.asOf));
  }
  // As c.json would, but for numbers that are not to become doubles.
  const json = stringifyJson({ ...page, data: page.data.map(pointJson) });
  return c.body(json, 200, { 'Content-Type': 'application/json' });
}

function pointJson({ counted: _counted, ...point }: MeterPoint) {
  const { value, events, ignored, state, revision, ...window } = point;
  const number = value === null ? null : jsonNumber(value);
  return { ...window, value, number, events: Number(events), ignored: Number(ignored), state, revision };
}
