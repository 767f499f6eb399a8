#!/usr/bin/env bash
# Node's HTTP server does the work and never answers, where a client closes its own side once the request is sent.
#
# With:  Node 20.20.2 (node:http).
# Input: a complete POST with its body, then shutdown(SHUT_WR), as socat does at the end of its input; the client reads on.
# Seen:  the handler gets the whole request and writes its answer, to a socket that node:http has closed: the client reads nothing,
#        no 'error', 'aborted' or 'clientError' says so, only 'close', and the callback of response.end() is never called.
#        TCP allows it, and with server.httpAllowHalfOpen = true, which the documentation does not mention, the answer arrives.
# So:    we set it; a client that may retry closes nothing before it has read its answer.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
cat >run.mjs <<'JS'
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { connect } from 'node:net';

async function ask(httpAllowHalfOpen, delay) {
  const seen = { httpAllowHalfOpen, delay, calledBack: false, events: [] };
  const server = createServer(async (request, response) => {
    request.on('error', () => seen.events.push('error')).on('aborted', () => seen.events.push('aborted'));
    response.on('error', () => seen.events.push('response error'));
    seen.got = Buffer.concat(await request.toArray()).toString();
    await new Promise((resolve) => setTimeout(resolve, delay));
    response.end('stored', () => (seen.calledBack = true));
  });
  server.on('clientError', () => seen.events.push('clientError'));
  if (httpAllowHalfOpen) server.httpAllowHalfOpen = true;
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  seen.answer = await new Promise((resolve, reject) => {
    let text = '';
    const socket = connect({ port: server.address().port, host: '127.0.0.1', allowHalfOpen: true });
    socket.setEncoding('utf8').on('data', (part) => (text += part)).on('end', () => resolve(text.split('\r\n')[0])).on('error', reject);
    socket.end('POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 3\r\n\r\n{ }');
  });
  await new Promise((resolve) => setTimeout(resolve, 1000));
  server.closeAllConnections();
  server.close();
  return seen;
}

const seen = [await ask(false, 0), await ask(false, 100), await ask(true, 100)];
console.log(seen);
for (const { got, events } of seen) assert.deepEqual({ got, events }, { got: '{ }', events: [] });
assert.deepEqual(seen.map(({ answer }) => answer), ['', '', 'HTTP/1.1 200 OK']);
assert.deepEqual(seen.map(({ calledBack }) => calledBack), [false, false, true]);
process.exit(0);
JS
node run.mjs
