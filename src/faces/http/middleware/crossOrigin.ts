import { cors } from 'hono/cors';

const ALLOWED_HEADERS = [
  'Authorization',
  'Content-Encoding',
  'Content-Type',
  'Idempotency-Key',
  'Last-Event-ID',
  'Prefer',
  'X-Request-Id',
  'X-Tenant-Id',
  ...['ce-specversion', 'ce-id', 'ce-source', 'ce-type', 'ce-subject', 'ce-time'],
];
const EXPOSED_HEADERS = [
  'Preference-Applied',
  'RateLimit',
  'RateLimit-Policy',
  'Retry-After',
  'X-As-Of',
  'X-Next-Cursor',
  'X-Request-Id',
];
/** How long a browser may remember a preflight, in seconds. */
const MAX_AGE = 600;

/**
 * Lets pages of these origins call the API with a key they hold; cookies play no part. Comes before authentication:
 * a preflight carries no key.
 */
export function crossOrigin(origins: readonly string[]) {
  return cors({
    origin: [...origins],
    allowMethods: ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'],
    allowHeaders: ALLOWED_HEADERS,
    exposeHeaders: EXPOSED_HEADERS,
    maxAge: MAX_AGE,
  });
}
