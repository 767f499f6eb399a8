import type { IncomingMessage, ServerResponse } from 'node:http';
import type { OpenAPIHono } from '@hono/zod-openapi';
import type { Context } from 'hono';
import type { Caller } from '../../access/tenancy/caller.ts';
import type { PortalCaller } from '../../access/tenancy/portalCaller.ts';
import type { TidemarkError } from '../../model/errors.ts';

/** What the middleware leaves for the routes. */
export interface AppEnv {
  Variables: {
    requestId: string;
    /** When the request arrived, in ms since the epoch: once its body is read, without what that took. */
    arrivedAt: number;
    /** How an error is answered, where it is not as everywhere: in the shape of the client that called. */
    refuse: ((c: Context<AppEnv>, error: TidemarkError) => Response) | undefined;
    /** Of requests with a key. */
    caller: Caller;
    /** Of requests with a portal token, which are those of `isPortalPath`. */
    portal: PortalCaller | undefined;
    /** Whose data it is about, where the key does not say; undefined until that is known. */
    tenantId: string | undefined;
  };
}

/** The short way of some requests, past the app: plainPosts.ts. */
export interface PlainPosts {
  /** Whether a request may be one, by its first line: it is to be offered once its body can have come. */
  mayTake(request: IncomingMessage): boolean;
  /**
   * Takes a request whose body has come.
   *
   * @param began performance.now() when it came.
   * @returns false where it is one for the app; then nothing has been done.
   */
  take(request: IncomingMessage, response: ServerResponse, began: number): boolean;
}

export type App = OpenAPIHono<AppEnv> & {
  /** What a server may offer requests to before the app; null or left out: nothing. */
  plainPosts?: PlainPosts | null;
};
