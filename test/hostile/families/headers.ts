import { type Family, post } from '../hostileRequest.ts';

const VALUES = [
  '',
  ' ',
  'Bearer',
  'Bearer ',
  'Bearer a b',
  'bearer',
  'Basic YTpi',
  'Bearer tm_',
  `Bearer tm_${'a'.repeat(43)}`,
  'Bearer null',
  'Bearer undefined',
  "Bearer ' or 1=1 --",
  `Bearer ${'x'.repeat(8_000)}`,
  'Digest username="a"',
  'Bearer \xff\xfe',
  '*',
  '../..',
  '%00',
  '"',
  'a, b',
  '\t',
  'x'.repeat(300),
  '0',
  '-1',
  '1e400',
  '{}',
  '__proto__',
];
const NAMES = [
  'authorization',
  'x-tenant-id',
  'x-request-id',
  'prefer',
  'idempotency-key',
  'ce-specversion',
  'accept',
  'accept-encoding',
  'origin',
  'cookie',
  'range',
  'if-match',
  'if-modified-since',
  'x-forwarded-for',
  'x-forwarded-host',
  'forwarded',
  'x-http-method-override',
  'x-original-url',
  'traceparent',
  'content-language',
  'content-md5',
  'te',
  'upgrade',
  'via',
  'x-'.padEnd(200, 'y'),
];

/** Headers that mean too much or nothing; keys that are none; other tenants. */
export const headers: Family = (a) => {
  const name = NAMES[a.turn % NAMES.length]!;
  const value = name === 'x-tenant-id' && a.random() < 0.5 ? a.victimId : a.pick(VALUES);
  const changed = { [name]: a.random() < 0.9 ? value : [value, a.pick(VALUES)] };
  if (a.random() < 0.3) {
    const path = a.pick([
      '/v1/usage',
      '/v1/events',
      '/v1/live',
      '/v1/customers',
      '/v1/keys',
      '/healthz',
      '/docs',
    ]);
    return { method: 'GET', path, headers: { authorization: `Bearer ${a.key}`, ...changed } };
  }
  // Not an event that would be stored: what such a header makes of one is for the other tests.
  return post(a, JSON.stringify({ ...a.event(), tenantId: a.random() < 0.5 ? a.victimId : 5 }), changed);
};
