#!/usr/bin/env bash
# stripe: v2.billing.meterEventStream.create takes a success without a body for a failure, after the events have been taken.
#
# With:  stripe 23.1.0; Node 20 or newer.
# Input: a meter event sent to a server of one's own (host, port, protocol), which answers 200, once without a body and once with {}.
# Seen:  without a body it rejects with "Invalid JSON received from the Stripe API", of type StripeAPIError; with {} it resolves. Its type is
#        Promise<void>.
# So:    whoever speaks this protocol answers {}: a client that repeats what was rejected would send the events again.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm init -y >/dev/null
npm install --silent --no-fund --no-audit stripe@23.1.0
cat >run.mjs <<'JS'
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import Stripe from 'stripe';

let body = '';
let taken = 0;
const server = createServer((request, response) => {
  request.resume().on('end', () => {
    taken += 1;
    response.setHeader('Content-Type', 'application/json');
    response.end(body);
  });
}).listen(0, '127.0.0.1');
await new Promise((resolve) => server.once('listening', resolve));
const client = new Stripe('sk_test_1', { host: '127.0.0.1', port: server.address().port, protocol: 'http', telemetry: false, maxNetworkRetries: 0 });
const send = () =>
  client.v2.billing.meterEventStream
    .create({ events: [{ event_name: 'tokens', payload: { stripe_customer_id: 'cus_1', value: '1' } }] })
    .then(() => 'resolved', (error) => `${error.type}: ${error.message}`);
const empty = await send();
body = '{}';
const object = await send();
server.close();
console.log({ empty, object, taken });
assert.match(empty, /Invalid JSON received from the Stripe API/);
assert.equal(object, 'resolved');
assert.equal(taken, 2);
process.exit(0);
JS
node run.mjs
