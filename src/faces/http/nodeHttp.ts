import type { HttpBindings } from '@hono/node-server';
import type { Context } from 'hono';
import { headerText } from './headerText.ts';

/*
 * Short ways to Node's own request and response, where there are any: without a socket (tests, other runtimes) the
 * context's Headers serve. Building the two Headers objects of a request costs about as much as parsing an event.
 */

function bindings(c: Context): Partial<HttpBindings> {
  return (c.env as Partial<HttpBindings> | undefined) ?? {};
}

/** @param name in lower case. */
export function requestHeader(c: Context, name: string): string | undefined {
  const { incoming } = bindings(c);
  if (!incoming) return c.req.header(name);
  const value = incoming.headers[name];
  return Array.isArray(value) ? value.join(', ') : value;
}

/** Every header whose name, in lower case, begins with the prefix: each of its lines. */
export function requestHeadersWith(c: Context, prefix: string): [name: string, values: string[]][] {
  const { incoming } = bindings(c);
  const all = incoming
    ? Object.entries(incoming.headersDistinct).map(([name, values]) => [name, values ?? []] as const)
    : Object.entries(c.req.header()).map(([name, value]) => [name, [value]] as const);
  return all.filter(([name]) => name.startsWith(prefix)) as [string, string[]][];
}

/** The tenant that the caller names (X-Tenant-Id). One that is no text stays as it came: there is no such tenant. */
export function requestedTenant(c: Context): string | undefined {
  const value = requestHeader(c, 'x-tenant-id');
  return value === undefined ? undefined : (headerText(value) ?? value);
}

/** Sets a header of whatever will be answered. */
export function setResponseHeader(c: Context, name: string, value: string): void {
  const { outgoing } = bindings(c);
  if (outgoing && 'setHeader' in outgoing) outgoing.setHeader(name, value);
  else c.header(name, value);
}
