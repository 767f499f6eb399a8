import type { Family } from '../hostileRequest.ts';

const FRAMINGS = [
  'Transfer-Encoding: gzip, chunked',
  'Transfer-Encoding: chunked, identity',
  'Transfer-Encoding: chunked\r\nTransfer-Encoding: identity',
  'Transfer-Encoding: xchunked',
  'Transfer-Encoding: "chunked"',
  'Transfer-Encoding: chunked;q=1',
  'Transfer-Encoding:\x0bchunked',
  'Transfer-Encoding : chunked',
  ' Transfer-Encoding: chunked',
  'X: a\r\n Transfer-Encoding: chunked',
  'X: a\nTransfer-Encoding: chunked',
  'X: a\rTransfer-Encoding: chunked',
  'Transfer_Encoding: chunked',
  'Content-Length: 0\r\nContent-Length: 44',
  'Content-Length: 0, 44',
  'Content-Length: +5',
  'Content-Length: -1',
  'Content-Length: 5 5',
  'Content-Length: 0x5',
  'Content-Length: 00000000000000000005',
  'Content-Length: 18446744073709551621',
  'Content-Length:',
  'Content-Length: 5\r\nTransfer-Encoding: chunked',
  'Transfer-Encoding: chunked\r\nContent-Length: 5',
  'Content-Length: 999999999',
  'Expect: 100-continue\r\nContent-Length: 99999999',
  'Expect: nonsense\r\nContent-Length: 5',
  'Host: evil\r\nContent-Length: 5',
  'Host:\r\nContent-Length: 5',
  'Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked',
  'Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQAAP__',
];
const CHUNKS = [
  '0\r\n\r\n',
  '5\r\nabcde\r\n0\r\n\r\n',
  'g\r\n',
  '-1\r\n',
  '0x5\r\nabcde\r\n0\r\n\r\n',
  '5;a="\r\n"\r\nabcde\r\n0\r\n\r\n',
  '5\nabcde\n0\n\n',
  '00000000000000000000005\r\nabcde\r\n0\r\n\r\n',
  'ffffffffffffffff\r\n',
  '5\r\nabcdeXX0\r\n\r\n',
  '0\r\nX: y\r\n\r\n',
  `5;${'x'.repeat(20_000)}\r\nabcde\r\n0\r\n\r\n`,
];
const LINES = [
  'GET / HTTP/1.1',
  'GET  / HTTP/1.1',
  'GET /\tHTTP/1.1',
  'get / HTTP/1.1',
  'GET / HTTP/1.2',
  'GET / HTTP/9.9',
  'GET / http/1.1',
  'GET /',
  'GET',
  '',
  'GET http://evil/healthz HTTP/1.1',
  'GET https://user:pw@evil:99999/ HTTP/1.1',
  'GET //evil/healthz HTTP/1.1',
  'GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1',
  'GET /../../etc/passwd HTTP/1.1',
  'GET /docs/assets/..%2f..%2fpackage.json HTTP/1.1',
  'GET /docs/assets/__proto__ HTTP/1.1',
  'GET /docs/assets/constructor HTTP/1.1',
  'GET /\\..\\ HTTP/1.1',
  'GET /a#b HTTP/1.1',
  'GET ?a HTTP/1.1',
  'GET * HTTP/1.1',
  'OPTIONS * HTTP/1.1',
  'CONNECT a:1 HTTP/1.1',
  'PRI * HTTP/2.0',
  'SSH-2.0-OpenSSH',
  '\x16\x03\x01\x02',
  'GET /\0 HTTP/1.1',
  'GET /\x80\xff HTTP/1.1',
  `GET /${'a'.repeat(30_000)} HTTP/1.1`,
  `GET /${'a'.repeat(40_000)} HTTP/1.1`,
];
const HEADERS = [
  '',
  'Host: x',
  'Host: x\r\nHost: y',
  'Host:',
  'Host: a b',
  'Host: a@b',
  'Host: [::1',
  'Host: x\r\nNoColon',
  'Host: x\r\n: empty',
  'Host: x\r\nA: \0',
  `Host: x\r\n${'A: b\r\n'.repeat(150)}C: d`,
  `Host: x\r\nA: ${'b'.repeat(40_000)}`,
  'Host: x\r\n__proto__: y\r\nconstructor: z',
];

/** Bytes that two servers would read differently, or that are no HTTP at all. */
export const framing: Family = (a) => {
  const smuggled = `GET /v1/events?smuggled HTTP/1.1\r\nHost: x\r\n\r\n`;
  const attack = a.pick(['frame', 'frame', 'line', 'damage', 'damage', 'pipeline', 'broken off'] as const);
  const body = JSON.stringify(a.event());
  const request = `POST /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${a.key}\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
  switch (attack) {
    case 'frame': {
      const head = `POST /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${a.key}\r\n${FRAMINGS[a.turn % FRAMINGS.length]}\r\n\r\n`;
      return { raw: [head + a.pick(CHUNKS) + a.pick(['', smuggled])] };
    }
    case 'line':
      return { raw: [`${a.pick(LINES)}\r\n${a.pick(HEADERS)}\r\n\r\n`] };
    case 'damage': {
      const at = Math.floor(a.random() * request.length);
      const junk = String.fromCharCode(Math.floor(a.random() * 256)).repeat(a.pick([1, 1, 3]));
      return { raw: [request.slice(0, at) + junk + request.slice(at + a.pick([0, 1]))] };
    }
    case 'pipeline':
      return {
        raw: [request + a.pick([smuggled.repeat(50), 'junk\r\n\r\n', request.slice(0, 60), '\r\n\r\n\r\n'])],
      };
    case 'broken off': {
      const at = Math.floor(a.random() * request.length);
      return { raw: [request.slice(0, at), a.pick(['', '\0', '\r\n\r\n'])] };
    }
  }
};
