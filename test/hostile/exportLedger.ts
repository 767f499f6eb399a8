import { gunzipSync } from 'node:zlib';
import { loadConfig } from '../../src/ground/config/loadConfig.ts';
import { CUSTOMER_ATTRIBUTES } from '../../src/intake/events/otlp/conventions.ts';
import { type ExportFormat, parseExport } from '../../src/intake/events/otlp/parseExport.ts';
import { ERROR_CODES } from '../../src/model/errors.ts';
import { readAnswer } from '../support/otlpExport.ts';
import type { Seen } from './answerFault.ts';
import type { HttpRequest } from './hostileRequest.ts';

const { ingest, http } = loadConfig({ TIDEMARK_PROFILE: 'test' });
const SIGNALS: Record<string, ExportFormat['signal']> = {
  '/otlp/v1/traces': 'traces',
  '/otlp/v1/logs': 'logs',
};
const ENCODINGS: Record<string, ExportFormat['encoding']> = {
  'application/json': 'json',
  'application/x-protobuf': 'protobuf',
};

/** What an exporter has been told is stored: what its exports are read as here. */
export class ExportLedger {
  /** Ids of events. */
  readonly stored = new Set<string>();

  /** Holds an answer of 200 against the export, and takes down what is in it. @returns what is wrong, or null. */
  take(request: HttpRequest, seen: Seen): string | null {
    const sentAs = String(request.headers['content-type']).split(';')[0]!.trim().toLowerCase();
    const [signal, encoding] = [SIGNALS[request.path], ENCODINGS[sentAs]];
    if (!signal || !encoding || request.method !== 'POST') return 'a 200 for what is no export';
    const now = Date.now() * 1_000;
    const rules = {
      tenantId: 'exporter',
      earliestMicros: now - ingest.acceptBehindMs * 1_000,
      latestMicros: now + ingest.acceptAheadMs * 1_000,
      receivedMicros: now,
    };
    const customer = { attributes: CUSTOMER_ATTRIBUTES, otherwise: null };
    const body = bodyOf(request);
    const { events, faults } = parseExport(
      body,
      { signal, encoding },
      rules,
      customer,
      ingest.maxEventsPerRequest,
    );
    for (const { eventId } of events) this.stored.add(eventId);
    const type = seen.headers['content-type'];
    if (type === undefined || ENCODINGS[type] !== encoding) return `${sentAs} is answered with ${type}`;
    const partial: Record<string, unknown> =
      (encoding === 'json' ? JSON.parse(seen.body) : readAnswer(seen.bytes!, 'Answer')).partialSuccess ?? {};
    const { errorMessage, ...counts } = partial;
    const told = Object.values(counts).map(Number);
    const rejected = new Set(faults.map(({ index }) => index)).size;
    return (told[0] ?? 0) === rejected && told.length <= 1
      ? null
      : `${rejected} are wrong, and it says ${JSON.stringify(partial)}`;
  }
}

function bodyOf({ headers, body = '' }: HttpRequest): Buffer {
  const bytes = Buffer.from(body as string);
  return headers['content-encoding'] === 'gzip'
    ? gunzipSync(bytes, { maxOutputLength: http.maxBodyBytes })
    : bytes;
}

/** What is wrong with a refusal as google.rpc.Status, or null. */
export function rpcStatusFault({ headers, body, bytes }: Seen): string | null {
  const type = headers['content-type'];
  const encoding = type === undefined ? undefined : ENCODINGS[type];
  if (encoding === undefined) return `a refusal as ${type}`;
  const told: Record<string, unknown> =
    encoding === 'json' ? JSON.parse(body) : readAnswer(bytes!, 'RpcStatus');
  const code = /^(\w+): ./.exec(String(told.message))?.[1];
  if (!ERROR_CODES.includes(code as never)) return `the code ${code}`;
  if (!Number.isInteger(told.code) || Object.keys(told).length !== 2)
    return `the status ${JSON.stringify(told)}`;
  return null;
}
