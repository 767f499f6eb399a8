#!/usr/bin/env bash
# OpenMeter's SDK drops the explanation of an error whose media type carries a parameter.
#
# With:  @openmeter/sdk 1.0.0-beta.232; Node 20 or newer.
# Input: a problem document (RFC 9457) answered twice, as application/problem+json and as
#        application/problem+json; charset=utf-8, which RFC 9110 section 8.3.1 allows.
# Seen:  the first becomes an HTTPError with the document's title and detail; of the second only the status text is left.
# So:    a service that this SDK talks to sends the type bare.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm init -y >/dev/null
npm install --silent --no-fund --no-audit @openmeter/sdk@1.0.0-beta.232
cat >run.mjs <<'JS'
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { OpenMeter } from '@openmeter/sdk';

async function messageFor(type) {
  const server = createServer((request, response) => {
    request.resume();
    response.writeHead(404, { 'content-type': type }).end(
      JSON.stringify({ type: 'about:blank', title: 'Meter unknown', status: 404, detail: 'no meter is called tokens' }),
    );
  }).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const client = new OpenMeter({ baseUrl: `http://127.0.0.1:${server.address().port}`, apiKey: 'k' });
  const error = await client.meters.get('tokens').then(() => assert.fail('no error'), (error) => error);
  server.closeAllConnections();
  server.close();
  return error.message;
}

const bare = await messageFor('application/problem+json');
const withCharset = await messageFor('application/problem+json; charset=utf-8');
console.log({ bare, withCharset });
assert.match(bare, /no meter is called tokens/);
assert.doesNotMatch(withCharset, /no meter is called tokens/);
JS
node run.mjs
