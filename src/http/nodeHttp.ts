import type { HttpBindings } from '@hono/node-server';
import type { Context } from 'hono';

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

/** Sets a header of whatever will be answered. */
export function setResponseHeader(c: Context, name: string, value: string): void {
  const { outgoing } = bindings(c);
  if (outgoing && 'setHeader' in outgoing) outgoing.setHeader(name, value);
  else c.header(name, value);
}
