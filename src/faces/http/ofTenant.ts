import { z } from '@hono/zod-openapi';
import {
  bodyFailures,
  jsonBody,
  limitReached,
  pageQuery,
  rangeQuery,
  security,
  tenantFailures,
  tenantHeader,
  thingFailures,
} from './schemas.ts';

/*
 * What routes on a tenant's own have in common, spread into their `createRoute` behind what is theirs: path, name and
 * summary. The order matters: the description has its members as they stand there.
 */

/** The request for one thing, by the UUID in its path. */
export const thingOfTenant = { headers: tenantHeader, params: z.object({ id: z.uuid() }) };

/** Reads one thing. @param answer what `json` makes of it. */
export const readOfTenant = <Answer>(answer: Answer) => ({
  method: 'get' as const,
  security,
  request: thingOfTenant,
  responses: { 200: answer, ...thingFailures },
});

/** Makes a thing, of which a tenant may have so many. @param answer what `json` makes of it. */
export const createOfTenant = <Schema extends z.ZodType, Answer>(schema: Schema, answer: Answer) => ({
  method: 'post' as const,
  security,
  request: { headers: tenantHeader, body: jsonBody(schema) },
  responses: { 201: answer, ...tenantFailures, ...bodyFailures, ...limitReached },
});

/** Changes one thing. @param answer what `json` makes of it. */
export const changeOfTenant = <Schema extends z.ZodType, Answer>(schema: Schema, answer: Answer) => ({
  method: 'patch' as const,
  security,
  request: { ...thingOfTenant, body: jsonBody(schema) },
  responses: { 200: answer, ...thingFailures, ...bodyFailures },
});

/** Deletes one thing. */
export const deleteOfTenant = {
  method: 'delete' as const,
  security,
  request: thingOfTenant,
  responses: { 204: { description: 'Deleted' }, ...thingFailures },
};

/** Lists all of a kind, page by page. @param page what `jsonPage` makes of one. */
export const listOfTenant = <Answer>(page: Answer) => ({
  method: 'get' as const,
  security,
  request: { headers: tenantHeader, query: z.strictObject(pageQuery(100, 1_000)) },
  responses: { 200: page, ...tenantFailures },
});

/** The request for what lies in a range of time, page by page. @param filters parameters of the route's own. */
export const rangeOfTenant = <Filters extends z.ZodRawShape>(filters: Filters) => ({
  headers: tenantHeader,
  query: z.strictObject({ ...rangeQuery, ...filters, ...pageQuery(100, 1_000) }),
});
