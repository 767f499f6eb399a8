#!/usr/bin/env bash
# @openmeter/sdk: debug.getMetrics() fails on the only answer that its API describes, and a query changes the object it is given.
#
# With:  @openmeter/sdk 1.0.0-beta.232; Node 20 or newer.
# Input: GET /api/v1/debug/metrics answered as its types say, text/plain in OpenMetrics; meters.query asked twice with one object of two Dates.
# Seen:  getMetrics rejects with a SyntaxError ("# HELP ope"... is not valid JSON): it reads every answer as JSON. With {parseAs: 'text'} it is
#        the text. The query sends the same both times, but after the first call `from` and `to` of the caller's object are strings.
# So:    a server that wants to be read answers getMetrics with a JSON text unless text is asked for; a caller hands each query an object of its own.
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

const METRICS = '# HELP openmeter_events_total Number of ingested events\n# TYPE openmeter_events_total counter\nopenmeter_events_total{subject="a"} 1\n# EOF\n';
const asked = [];
const server = createServer((request, response) => {
  asked.push(request.url);
  const metrics = request.url.endsWith('/debug/metrics');
  response.setHeader('Content-Type', metrics ? 'text/plain; charset=utf-8' : 'application/json');
  response.end(metrics ? METRICS : '{"data":[]}');
}).listen(0, '127.0.0.1');
await new Promise((resolve) => server.once('listening', resolve));
const client = new OpenMeter({ baseUrl: `http://127.0.0.1:${server.address().port}`, apiKey: 'key' });

const plain = await client.debug.getMetrics().then((text) => text, (error) => `${error.name}: ${error.message}`);
const asText = await client.debug.getMetrics({ parseAs: 'text' });
const query = { from: new Date('2026-01-01T00:00:00Z'), to: new Date('2026-01-02T00:00:00Z') };
await client.meters.query('tokens', query);
const after = [typeof query.from, typeof query.to];
await client.meters.query('tokens', query);
server.close();
console.log({ plain, asText: asText === METRICS, after });
assert.match(plain, /^SyntaxError: .*# HELP ope.*is not valid JSON/);
assert.equal(asText, METRICS);
assert.deepEqual(after, ['string', 'string']);
const queries = asked.filter((url) => url.includes('/query'));
assert.equal(queries.length, 2);
assert.equal(queries[0], queries[1]);
process.exit(0);
JS
node run.mjs
