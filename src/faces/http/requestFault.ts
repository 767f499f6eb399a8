import type { IncomingMessage } from 'node:http';
import type { HttpLimits } from '../../ground/config/http.ts';
import { TidemarkError } from '../../model/errors.ts';

/** Header lines of one request; what a proxy adds included. */
const MAX_HEADERS = 100;

/** Headers that may come once: with two of them, a proxy and we could each believe another. */
const ONCE = new Set(['host', 'authorization', 'content-type']);

/**
 * What Node's parser lets pass and this service does not: framing that a proxy may read otherwise (request smuggling,
 * RFC 9112 §11.2), and what is too long. Bodies that announce too much are refused here, on every route, unread.
 */
export function requestFault(request: IncomingMessage, limits: HttpLimits): TidemarkError | null {
  const { rawHeaders, headers, httpVersionMajor, httpVersionMinor } = request;
  if (httpVersionMajor < 1) return malformed('send HTTP/1.0 or 1.1');
  if (rawHeaders.length > 2 * MAX_HEADERS) {
    return new TidemarkError('headers_too_large', `a request may have at most ${MAX_HEADERS} headers`);
  }
  const repeated = repeatedHeader(rawHeaders);
  if (repeated) return malformed(`${repeated} may be sent once`);
  const http10 = httpVersionMinor === 0;
  if (!headers.host && !(http10 && headers.host === undefined)) return malformed('Host is missing or empty');
  const coding = headers['transfer-encoding'];
  if (coding !== undefined && (http10 || coding.toLowerCase() !== 'chunked')) {
    return malformed('Transfer-Encoding may be chunked, with HTTP/1.1');
  }
  if (request.url!.length > limits.maxUrlBytes) {
    return new TidemarkError('uri_too_long', `a URL may have at most ${limits.maxUrlBytes} bytes`);
  }
  if (Number(headers['content-length'] ?? 0) > limits.maxBodyBytes) {
    return new TidemarkError('body_too_large', `a body may have at most ${limits.maxBodyBytes} bytes`);
  }
  return null;
}

function repeatedHeader(rawHeaders: string[]): string | null {
  let seen: Set<string> | undefined;
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const { length } = rawHeaders[i]!;
    if (length !== 4 && length !== 12 && length !== 13) continue; // those of ONCE
    const name = rawHeaders[i]!.toLowerCase();
    if (!ONCE.has(name)) continue;
    seen ??= new Set();
    if (seen.has(name)) return name;
    seen.add(name);
  }
  return null;
}

function malformed(message: string): TidemarkError {
  return new TidemarkError('malformed_request', message);
}
