#!/usr/bin/env bash
# term('why') of NATS's client is no acknowledgement at all for the server that Debian 12 has.
#
# With:  @nats-io/jetstream and @nats-io/transport-node 3.4.0; nats-server 2.9.10 (Debian 12's package); Node 20 or newer.
# Input: two messages of a consumer with ack_policy explicit and ack_wait of a second: one terminated by term(), one by term('bad').
# Seen:  both are "didAck" to the client. The server takes "+TERM", and does not know "+TERM bad": that message comes again and
#        again, each time after ack_wait, until max_deliver. There is no error.
# So:    term() without a reason; the reason goes into the log.
set -euo pipefail
command -v nats-server >/dev/null || { echo 'needs nats-server: apt install nats-server (seen with 2.9.10-1+b3)'; exit 2; }
dir=$(mktemp -d)
server=
trap '[ -z "$server" ] || { kill "$server" 2>/dev/null || true; wait "$server" || true; }; rm -rf "$dir"' EXIT
cd "$dir"
npm init -y >/dev/null
npm install --silent --no-fund --no-audit @nats-io/jetstream@3.4.0 @nats-io/transport-node@3.4.0
port=$(node -e 'const s = require("net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close(); })')
nats-server -a 127.0.0.1 -p "$port" -js -sd "$dir/store" >server.log 2>&1 &
server=$!
cat >run.mjs <<'JS'
import assert from 'node:assert/strict';
import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';

const nc = await connect({ servers: `127.0.0.1:${process.argv[2]}` });
const jsm = await jetstreamManager(nc);
await jsm.streams.add({ name: 'usage', subjects: ['usage'] });
await jsm.consumers.add('usage', { durable_name: 'c', ack_policy: 'explicit', ack_wait: 1e9, max_deliver: 4 });
const js = jetstream(nc);
const seen = { version: nc.info.version, bare: 0, reason: 0, didAck: [] };
await js.publish('usage', 'bare');
await js.publish('usage', 'reason');
const messages = await (await js.consumers.get('usage', 'c')).consume({ expires: 2000 });
setTimeout(() => messages.stop(), 8000);
for await (const message of messages) {
  seen[message.string()] += 1;
  if (message.string() === 'bare') message.term();
  else message.term('bad');
  seen.didAck.push(message.didAck);
}
seen.pending = (await jsm.consumers.info('usage', 'c')).num_ack_pending;
await nc.close();
console.log(seen);
assert.match(seen.version, /^2\.9\./);
assert.equal(seen.bare, 1);
assert.equal(seen.reason, 4);
assert.deepEqual([...new Set(seen.didAck)], [true]);
JS
for _ in $(seq 100); do (echo >"/dev/tcp/127.0.0.1/$port") 2>/dev/null && break; sleep 0.1; done
node run.mjs "$port"
