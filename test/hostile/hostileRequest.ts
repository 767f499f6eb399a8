import type { Operation } from '../support/description.ts';

/** One request that nobody in their right mind would send. */
export type HostileRequest = HttpRequest | RawRequest;

export interface HttpRequest {
  method: string;
  path: string;
  headers: Record<string, string | string[]>;
  body?: string | Buffer | undefined;
}

/** Bytes for a socket, sent one part after the other. */
export interface RawRequest {
  raw: (string | Buffer)[];
}

/** What a family may draw from. */
export interface Arsenal {
  /** Same seed, same requests. */
  random: () => number;
  /** One of them. */
  pick: <T>(values: readonly T[]) => T;
  /** Counts up within the family, so that it can walk through something in order. */
  turn: number;
  /** A valid event of the attacker's, new each time. */
  event: () => Record<string, unknown>;
  /** Of the attacker's tenant, with every scope. */
  key: string;
  /** Of a tenant that exports spans, and sends nothing else. */
  exporterKey: string;
  /** Of the platform. */
  adminKey: string;
  /** The tenant that works beside, and must not notice. */
  victimId: string;
  operations: Operation[];
}

export type Family = (arsenal: Arsenal) => HostileRequest;

/** POST /v1/events with the attacker's key. */
export function post(
  { key }: Arsenal,
  body: string | Buffer,
  headers: Record<string, string | string[]> = {},
  query = '',
): HttpRequest {
  return {
    method: 'POST',
    path: `/v1/events${query}`,
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json', ...headers },
    body,
  };
}

/** An event's JSON with one member replaced by, or given, a raw piece of JSON. */
export function withRaw(event: Record<string, unknown>, path: string, json: string): string {
  const [outer, inner] = path.split('.');
  const mark = '@@raw@@';
  const changed = inner
    ? { ...event, [outer!]: { ...(event[outer!] as object), [inner]: mark } }
    : { ...event, [outer!]: mark };
  return JSON.stringify(changed).replace(`"${mark}"`, () => json);
}

/**
 * A body with damage at one of its bytes: each of them in turn.
 *
 * @param marks that mean something to whoever reads such a body.
 */
export function damaged(a: Arsenal, bytes: Buffer, marks: readonly (string | Buffer)[]): Buffer {
  const at = a.turn % bytes.length;
  const byte = Buffer.from([Math.floor(a.random() * 256)]);
  const [head, tail] = [bytes.subarray(0, at), bytes.subarray(at)];
  const damages = {
    cut: () => head,
    flip: () => Buffer.concat([head, byte, tail.subarray(1)]),
    delete: () => Buffer.concat([head, tail.subarray(1)]),
    insert: () => Buffer.concat([head, byte, tail]),
    repeat: () => Buffer.concat([head, tail, head]),
    mark: () => Buffer.concat([head, Buffer.from(a.pick(marks) as string), tail]),
  };
  return a.pick(Object.values(damages))();
}

/** Every member that an event may have. */
export const MEMBERS = [
  'eventId',
  'timestamp',
  'tenantId',
  'customerId',
  'apiEndpoint',
  'eventType',
  'sourceId',
  'reference',
  'sessionId',
  'unit',
  'value',
  'metadata',
  'metadata.tokens',
  'metadata.inputTokens',
  'metadata.outputTokens',
  'metadata.latencyMs',
  'metadata.model',
  'metadata.other',
  'other',
] as const;

/** Texts that somebody somewhere took for something else. */
export const TEXTS = [
  '',
  ' ',
  '\u0000',
  'a\u0000b',
  '\ud800',
  '\udc00\ud800',
  'a\ud83d',
  '\uffff\ufffe',
  '\u202e\u2066',
  '👩‍👩‍👧‍👦'.repeat(20),
  '__proto__',
  'constructor',
  'toString',
  `' or '1'='1`,
  `'; drop table event; --`,
  '$1',
  '%s%n%x',
  '%00',
  '../../../../etc/passwd',
  '..\\..\\boot.ini',
  '{{7*7}}#{7*7}<%= 7 %>',
  '<script>alert(1)</script>',
  '\r\nX-Injected: yes',
  '\\N',
  '\\',
  '"',
  '\t\n\u000b\u007f',
  'null',
  'NaN',
  '-1',
  '0',
  '1e400',
  'x'.repeat(257),
  'x'.repeat(5_000),
  '客'.repeat(1_025),
  'true',
  '[]',
  '{}',
  '\ufeff',
  'ＡＢＣ',
  'ß'.repeat(128),
] as const;
