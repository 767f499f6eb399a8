#!/usr/bin/env bash
# Winston's HTTP transport calls every status but 200 an error.
#
# With:  winston 3.19.0; Node 20 or newer.
# Input: one log line each to a server that answers 200, 202 (accepted) and 204 (no content).
# Seen:  after 202 and 204, both successes (RFC 9110 section 15.3), the transport emits 'warn' with
#        "Invalid HTTP Status Code"; after 200 nothing. It sends each line once, whatever the answer.
# So:    a receiver of winston's lines answers 200, and a sender that must not lose lines needs another transport.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm init -y >/dev/null
npm install --silent --no-fund --no-audit winston@3.19.0
cat >run.mjs <<'JS'
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import winston from 'winston';

async function send(status) {
  let requests = 0;
  const server = createServer((request, response) => {
    request.resume().on('end', () => {
      requests += 1;
      response.writeHead(status).end();
    });
  }).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const transport = new winston.transports.Http({ host: '127.0.0.1', port: server.address().port });
  const told = new Promise((resolve) => {
    transport.once('warn', (error) => resolve(error.message));
    transport.once('logged', () => setTimeout(resolve, 500, null));
  });
  winston.createLogger({ transports: [transport] }).info('used', { tokens: 12 });
  const warning = await told;
  await new Promise((resolve) => setTimeout(resolve, 500));
  server.closeAllConnections();
  server.close();
  return { status, requests, warning };
}

const seen = [await send(200), await send(202), await send(204)];
console.log(seen);
assert.deepEqual(seen.map(({ requests }) => requests), [1, 1, 1]);
assert.equal(seen[0].warning, null);
assert.match(seen[1].warning, /202/);
assert.match(seen[2].warning, /204/);
process.exit(0);
JS
node run.mjs
