import type { Context } from 'hono';
import type { ContentfulStatusCode } from 'hono/utils/http-status';
import protobuf from 'protobufjs/minimal.js';
import type { ExportFormat } from '../../../../intake/events/otlp/parseExport.ts';
import type { TidemarkError } from '../../../../model/errors.ts';
import type { AppEnv } from '../../appEnv.ts';
import { requestHeader } from '../../nodeHttp.ts';
import { problemHeaders, statusOf } from '../../problem.ts';
import { wholeMessage } from '../answers.ts';

type Encoding = ExportFormat['encoding'];

export const MEDIA_TYPES: Readonly<Record<Encoding, string>> = {
  json: 'application/json',
  protobuf: 'application/x-protobuf',
};

/**
 * The longest time after which an exporter is told to come back, in seconds. The SDKs' give an export up, without trying
 * again, where that is more than what is left of their 10 s: with this they try five times.
 */
const MAX_RETRY_AFTER = 2;

/** How the body of a request says that it is encoded; undefined: in no way that is known. */
export function encodingOf(c: Context): Encoding | undefined {
  const type = requestHeader(c, 'content-type')?.split(';', 1)[0]?.trim().toLowerCase();
  return (Object.keys(MEDIA_TYPES) as Encoding[]).find((encoding) => MEDIA_TYPES[encoding] === type);
}

/** What of an export was not taken. */
export interface Rejected {
  /** Spans or log records. */
  count: number;
  message: string;
}

/**
 * Export…ServiceResponse: nothing, or a partial success (OTLP 1.x, "Partial Success").
 *
 * @param name of the count in JSON; in protobuf all signals have it in field 1.
 */
export function exportAnswer(
  c: Context<AppEnv>,
  encoding: Encoding,
  name: string,
  { count, message }: Rejected,
): Response {
  const type = { 'Content-Type': MEDIA_TYPES[encoding] };
  if (encoding === 'json') {
    const body = count === 0 ? {} : { partialSuccess: { [name]: String(count), errorMessage: message } };
    return c.body(JSON.stringify(body), 200, type);
  }
  const writer = protobuf.Writer.create();
  if (count > 0) writer.uint32(10).fork().uint32(8).int64(count).uint32(18).string(message).ldelim();
  return c.body(bytesOf(writer), 200, type);
}

/** google.rpc.Code by status of HTTP. */
const RPC_CODES: Partial<Record<ContentfulStatusCode, number>> = {
  400: 3,
  401: 16,
  403: 7,
  404: 5,
  405: 12,
  409: 10,
  413: 8,
  415: 3,
  422: 3,
  429: 8,
  500: 13,
  501: 12,
  503: 14,
};
const UNKNOWN = 2;

/** A failure as google.rpc.Status, in the encoding of the request, with the code of ours before the message. */
export function refuseExport(c: Context<AppEnv>, error: TidemarkError): Response {
  const encoding = encodingOf(c) ?? 'json';
  const status = statusOf(error.code);
  for (const [name, value] of problemHeaders(error)) c.header(name, value);
  if (error.retryAfterSeconds !== undefined) {
    c.header('Retry-After', String(Math.min(error.retryAfterSeconds, MAX_RETRY_AFTER)));
  }
  const code = RPC_CODES[status] ?? UNKNOWN;
  const message = `${error.code}: ${wholeMessage(error)}`;
  const type = { 'Content-Type': MEDIA_TYPES[encoding] };
  if (encoding === 'json') return c.body(JSON.stringify({ code, message }), status, type);
  return c.body(
    bytesOf(protobuf.Writer.create().uint32(8).int32(code).uint32(18).string(message)),
    status,
    type,
  );
}

function bytesOf(writer: protobuf.Writer): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(writer.finish());
}
