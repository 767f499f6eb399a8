#!/usr/bin/env bash
# mqtt.js swallows the error that handleMessage reports, and the message is neither acknowledged nor given out again.
#
# With:  mqtt 5.16.0, mosquitto 2.0.11 (Debian 12's package); Node 20 or newer.
# Input: thirty QoS 1 messages to a subscriber whose handleMessage calls back with an error for each, as its type allows.
# Seen:  no 'error' event, no warning, no reconnect. After twenty (the broker's max_inflight_messages) nothing more comes, also not
#        of what is sent later, while client.connected is true; a new connection gets all of them again.
# So:    a handler that fails ends the connection itself, so that the broker gives the messages out again.
set -euo pipefail
PATH=$PATH:/usr/sbin
command -v mosquitto >/dev/null || { echo 'needs mosquitto: apt install mosquitto (seen with 2.0.11-1.2+deb12u2)'; exit 2; }
dir=$(mktemp -d)
broker=
trap '[ -z "$broker" ] || kill "$broker" 2>/dev/null || true; rm -rf "$dir"' EXIT
cd "$dir"
npm init -y >/dev/null
npm install --silent --no-fund --no-audit mqtt@5.16.0
port=$(node -e 'const s = require("net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close(); })')
printf 'listener %s 127.0.0.1\nallow_anonymous true\n' "$port" >broker.conf
mosquitto -c broker.conf >broker.log 2>&1 &
broker=$!
cat >run.mjs <<'JS'
import assert from 'node:assert/strict';
import mqtt from 'mqtt';

const url = `mqtt://127.0.0.1:${process.argv[2]}`;
const session = { clean: false, clientId: 'reader' };
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const seen = { handled: 0, events: [] };

const reader = mqtt.connect(url, { ...session, reconnectPeriod: 100 });
reader.handleMessage = (_packet, done) => {
  seen.handled += 1;
  done(new Error('not stored'));
};
await new Promise((resolve) => reader.once('connect', resolve));
for (const name of ['error', 'close', 'reconnect', 'offline', 'disconnect', 'end']) reader.on(name, () => seen.events.push(name));
process.on('warning', (warning) => seen.events.push(warning.name));
await reader.subscribeAsync('usage', { qos: 1 });
const sender = await mqtt.connectAsync(url);
for (let n = 0; n < 30; n += 1) await sender.publishAsync('usage', String(n), { qos: 1 });
await pause(2000);
await sender.publishAsync('usage', 'later', { qos: 1 });
await pause(1000);
seen.connected = reader.connected;
reader.removeAllListeners();
reader.options.reconnectPeriod = 0;
reader.stream.destroy();

seen.again = 0;
const next = mqtt.connect(url, session);
next.on('message', () => {
  seen.again += 1;
});
for (let i = 0; i < 100 && seen.again < 31; i += 1) await pause(100);
console.log(seen);
assert.deepEqual(seen, { handled: 20, events: [], connected: true, again: 31 });
process.exit(0);
JS
for _ in $(seq 100); do (echo >"/dev/tcp/127.0.0.1/$port") 2>/dev/null && break; sleep 0.1; done
node run.mjs "$port"
