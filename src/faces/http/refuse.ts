import { randomUUID } from 'node:crypto';
import { type ServerResponse, STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import { type ErrorCode, TidemarkError } from '../../model/errors.ts';
import { SECURITY_HEADERS } from './middleware/securityHeaders.ts';
import { PROBLEM_TYPE, problemText, statusOf } from './problem.ts';

const SECURITY = Object.fromEntries(SECURITY_HEADERS);

/** Answers a request that does not reach the app, and gives its connection up. */
export function refuse(response: ServerResponse, error: TidemarkError): void {
  const [status, headers, body] = refusal(error);
  response.writeHead(status, headers).end(body);
}

/** The same as a Response. */
export function refusalOf(error: TidemarkError): Response {
  const [status, headers, body] = refusal(error);
  return new Response(body, { status, headers });
}

/** The same where there is no response, only a socket. */
export function refuseOnSocket(socket: Duplex, error: TidemarkError): void {
  if (!socket.writable) {
    socket.destroy();
    return;
  }
  const [status, headers, body] = refusal(error);
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${lines.join('')}\r\n${body}`, () =>
    socket.destroy(),
  );
}

/** What the parser, or a timeout, has found wrong with a request. Its own words are not for the caller. */
export function parserFault(code: string | undefined): TidemarkError {
  const [ours, message] = FAULTS[code ?? ''] ?? [
    'malformed_request',
    'this is not HTTP/1.1 as RFC 9112 has it',
  ];
  return new TidemarkError(ours, message);
}

const FAULTS: Record<string, [ErrorCode, string]> = {
  HPE_HEADER_OVERFLOW: ['headers_too_large', 'the headers are too large'],
  HPE_CHUNK_EXTENSIONS_OVERFLOW: ['body_too_large', 'the chunk extensions are too large'],
  ERR_HTTP_REQUEST_TIMEOUT: ['request_timeout', 'the request was not complete in time'],
};

function refusal(error: TidemarkError): [status: number, headers: Record<string, string>, body: string] {
  const requestId = randomUUID();
  const body = problemText(error, requestId);
  const headers = {
    ...SECURITY,
    'Cache-Control': 'no-store',
    'Content-Type': PROBLEM_TYPE,
    'Content-Length': String(Buffer.byteLength(body)),
    'X-Request-Id': requestId,
    Connection: 'close',
  };
  return [statusOf(error.code), headers, body];
}
