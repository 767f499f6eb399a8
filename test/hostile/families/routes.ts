import type { Operation } from '../../support/description.ts';
import { type Arsenal, type Family, type HttpRequest, TEXTS } from '../hostileRequest.ts';

const QUERIES = [
  '0',
  '-1',
  '1.5',
  '1e9',
  'NaN',
  '10001',
  '99999999999999999999',
  'true',
  'null',
  '[]',
  '{}',
  'hour',
  '30s',
  '1mo',
  'Europe/Berlin',
  'Mars/Olympus',
  '../UTC',
  'posix/UTC',
  'customer,endpoint,model,eventType',
  'customer,customer',
  '2026-01-01T00:00:00Z',
  '9999-12-31T23:59:59Z',
  'eyJ9',
  'e30',
  'W10=',
  'bnVsbA',
  'WyJhIiwiYiJd',
  'eyJfX3Byb3RvX18iOnt9fQ',
];
const IDS = [
  '00000000-0000-4000-8000-000000000000',
  '.',
  '..',
  '...',
  '%2e%2e',
  '%2F',
  '%',
  '%zz',
  '%00',
  '%ff%fe',
  '%ed%a0%80',
  '%c0%af',
  'a%2fb',
  '*',
  '{id}',
  ':id',
  '__proto__',
  'x'.repeat(300),
  '%F0%9F%92%A9',
];
const METHODS = [
  'GET',
  'HEAD',
  'POST',
  'PUT',
  'PATCH',
  'DELETE',
  'OPTIONS',
  'TRACE',
  'PROPFIND',
  'PURGE',
  'SEARCH',
  'QUERY',
];
const UNSAFE = ['select 1', 'gpt-4', 'api.request', 'acme', 'order-1'];

/** Every route that the service describes, with anything where it takes something. */
export const routes: Family = (a) => {
  const operation = a.operations[a.turn % a.operations.length]!;
  const admin = /tenants/.test(operation.path) && a.random() < 0.7;
  const headers: HttpRequest['headers'] = {
    ...(a.random() < 0.9 && { authorization: `Bearer ${admin ? a.adminKey : a.key}` }),
  };
  const path = operation.path.replaceAll(/\{\w+\}/g, () =>
    a.random() < 0.5 ? a.pick(IDS) : encode(a.pick(TEXTS)),
  );
  const method = a.random() < 0.9 ? operation.method : a.pick(METHODS);
  const bodied = operation.hasBody && method !== 'GET' && method !== 'HEAD';
  const example = bodied ? a.pick(operation.examples) : undefined;
  if (example) headers['content-type'] = a.random() < 0.8 ? example.contentType : 'application/json';
  return {
    method,
    path: `${path}${queryOf(a, operation)}`,
    headers,
    body: example ? bodyOf(a, example.value) : undefined,
  };
};

function queryOf(a: Arsenal, operation: Operation): string {
  const names = operation.parameters.filter((parameter) => parameter.in === 'query').map(({ name }) => name);
  if (names.length === 0 || a.random() < 0.3)
    return a.pick(['', '', '?', '?a', '?=', '?&&&', '?__proto__=1', '?%=%', '?a[b]=c']);
  const count = a.pick([1, 1, 2, 3]);
  const pairs = Array.from({ length: count }, () => {
    const name = a.random() < 0.95 ? a.pick(names) : encode(a.pick(TEXTS));
    const value = a.random() < 0.5 ? a.pick([...QUERIES, ...UNSAFE, ...IDS]) : encode(a.pick(TEXTS));
    return `${name}=${value.replaceAll(' ', '+')}`;
  });
  return `?${pairs.join('&')}`;
}

/** An example with a member taken out, put in, or replaced; or something else entirely. */
function bodyOf(a: Arsenal, value: unknown): string {
  const list = Array.isArray(value);
  const example: unknown = list ? a.pick(value) : value;
  if (a.random() < 0.15 || typeof example !== 'object' || example === null || Array.isArray(example)) {
    return a.pick([
      '',
      '{',
      'null',
      '[]',
      '{}',
      '1',
      '"x"',
      '[[]]',
      '{"__proto__":{"a":1}}',
      'x'.repeat(70_000),
      '{"a":'.repeat(10_000),
    ]);
  }
  const body = { ...(example as Record<string, unknown>) };
  // The example's own id belongs to nobody; names of tenants must not be taken by chance.
  const name = a.pick([
    ...Object.keys(body),
    'other',
    'tenantId',
    'scopes',
    'expiresAt',
    'name',
    'active',
    'id',
    'url',
    'stream',
    'messageTypes',
    'customers',
    'threshold',
    'kind',
  ]);
  const replacement = a.pick([
    null,
    true,
    0,
    -1,
    1e308,
    [],
    {},
    ['admin'],
    ['admin', 'admin', 'nonsense'],
    'http://169.254.169.254/latest',
    'https://user:secret@example.test/',
    'javascript:alert(1)',
    { a: 1 },
    ...TEXTS,
    a.victimId,
  ]);
  body[name] = replacement;
  return JSON.stringify(list ? [example, body] : body);
}

/** Percent-encoded, surrogates and all. */
function encode(text: string): string {
  return encodeURIComponent(text.toWellFormed()).slice(0, 6_000);
}
