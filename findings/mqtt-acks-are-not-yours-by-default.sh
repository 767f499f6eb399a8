#!/usr/bin/env bash
# mqtt.js takes customHandleAcks and, at its default protocol version, never calls it.
#
# With:  mqtt 5.16.0, mosquitto 2.0.11 (Debian 12's package); Node 20 or newer.
# Input: one QoS 1 message to a subscriber whose customHandleAcks answers nothing yet, connected as MQTT 3.1.1
#        (protocolVersion 4, the default) and as MQTT 5, which then goes away and comes back to its session.
# Seen:  as 3.1.1 the callback is not called: the message has been acknowledged, and does not come again. As MQTT 5 it is
#        called, and the message comes again. There is no error and no warning.
# So:    a consumer that acknowledges after its own commit overrides handleMessage, which works in both.
set -euo pipefail
dir=$(mktemp -d)
broker=
trap '[ -z "$broker" ] || kill "$broker" 2>/dev/null || true; rm -rf "$dir"' EXIT
cd "$dir"
npm init -y >/dev/null
npm install --silent --no-fund --no-audit mqtt@5.16.0
port=$(node -e 'const s = require("net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close(); })')
printf 'listener %s 127.0.0.1\nallow_anonymous true\n' "$port" >broker.conf
PATH=$PATH:/usr/sbin mosquitto -c broker.conf >broker.log 2>&1 &
broker=$!
cat >run.mjs <<'JS'
import assert from 'node:assert/strict';
import mqtt from 'mqtt';

const url = `mqtt://127.0.0.1:${process.argv[2]}`;

async function receive(protocolVersion) {
  let called = 0;
  const session = {
    ...(protocolVersion && { protocolVersion, properties: { sessionExpiryInterval: 3600 } }),
    clean: false,
    clientId: `reader-${protocolVersion ?? 'default'}`,
    reconnectPeriod: 0,
  };
  const reader = await mqtt.connectAsync(url, {
    ...session,
    customHandleAcks() {
      called += 1; // answers nothing: its commit is still under way
    },
  });
  await reader.subscribeAsync('usage', { qos: 1 });
  const sender = await mqtt.connectAsync(url);
  await sender.publishAsync('usage', 'x', { qos: 1 });
  await new Promise((resolve) => setTimeout(resolve, 500));
  reader.stream.destroy();
  let again = 0;
  const next = mqtt.connect(url, session);
  next.on('message', () => {
    again += 1;
  });
  await new Promise((resolve) => setTimeout(resolve, 800));
  await Promise.all([next.endAsync(), sender.endAsync()]);
  return { called, again };
}

const byDefault = await receive(undefined);
const five = await receive(5);
console.log({ byDefault, five });
assert.deepEqual(byDefault, { called: 0, again: 0 });
assert.deepEqual(five, { called: 1, again: 1 });
process.exit(0);
JS
for _ in $(seq 50); do (echo >"/dev/tcp/127.0.0.1/$port") 2>/dev/null && break; sleep 0.1; done
node run.mjs "$port"
