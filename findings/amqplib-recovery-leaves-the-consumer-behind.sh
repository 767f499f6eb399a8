#!/usr/bin/env bash
# amqplib with recovery: true reconnects, says 'connect', and nobody consumes any more.
#
# With:  amqplib 2.3.1, rabbitmq-server 3.10.8 (Debian 12's package); Node 20 or newer.
# Input: a consumer, its connection cut once between two messages; with recovery: true, and with recovery.setup that consumes.
# Seen:  true brings back the connection alone: 'connect' is emitted, new channels work, and the queue has no consumer. The consumer's
#        callback is not told (null, as for a deleted queue); only its channel emits 'close'. With setup the second message comes.
# So:    recovery never without setup, and all channels and consumers are made there.
set -euo pipefail
server=/usr/lib/rabbitmq/bin/rabbitmq-server
[ -x "$server" ] || { echo 'needs RabbitMQ: apt install rabbitmq-server (seen with 3.10.8-1.1+deb12u1)'; exit 2; }
dir=$(mktemp -d)
broker=
export HOME="$dir" ERL_EPMD_ADDRESS=127.0.0.1
free_port() { node -e 'const s = require("net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close(); })'; }
ERL_EPMD_PORT=$(free_port)
export ERL_EPMD_PORT
end() {
  if [ -n "$broker" ]; then
    kill "$broker" 2>/dev/null || true
    wait "$broker" || true
    for _ in $(seq 50); do [ "$(epmd -names | wc -l)" -gt 1 ] || break; sleep 0.2; done
    epmd -kill >/dev/null || true
  fi
  rm -rf "$dir"
}
trap end EXIT
cd "$dir"
npm init -y >/dev/null
npm install --silent --no-fund --no-audit amqplib@2.3.1
touch rabbitmq.conf env
echo '[].' >plugins
export RABBITMQ_NODENAME=finding@localhost RABBITMQ_NODE_IP_ADDRESS=127.0.0.1 RABBITMQ_CONFIG_FILE="$dir/rabbitmq" RABBITMQ_CONF_ENV_FILE="$dir/env"
export RABBITMQ_MNESIA_BASE="$dir/mnesia" RABBITMQ_LOG_BASE="$dir/log" RABBITMQ_ENABLED_PLUGINS_FILE="$dir/plugins"
RABBITMQ_NODE_PORT=$(free_port)
RABBITMQ_DIST_PORT=$(free_port)
export RABBITMQ_NODE_PORT RABBITMQ_DIST_PORT
"$server" >broker.log 2>&1 &
broker=$!
cat >run.mjs <<'JS'
import assert from 'node:assert/strict';
import { connect as dial, createServer } from 'node:net';
import amqp from 'amqplib';

const port = Number(process.argv[2]);
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const sockets = [];
const proxy = createServer((socket) => {
  const upstream = dial(port, '127.0.0.1');
  for (const [from, to] of [[socket, upstream], [upstream, socket]]) from.on('error', () => {}).on('close', () => to.destroy()).pipe(to);
  sockets.push(socket);
}).listen(0, '127.0.0.1');
await new Promise((resolve) => proxy.once('listening', resolve));
const url = `amqp://127.0.0.1:${proxy.address().port}`;

async function run(queue, withSetup) {
  const seen = { got: [], connects: 0, closed: 0 };
  const consume = async (model) => {
    const channel = await model.createChannel();
    channel.on('close', () => (seen.closed += 1));
    await channel.assertQueue(queue, { durable: true });
    await channel.consume(queue, (message) => {
      seen.got.push(message && message.content.toString());
      channel.ack(message);
    });
  };
  const model = await amqp.connect(url, { recovery: withSetup ? { setup: consume } : true });
  model.on('error', () => {});
  model.on('connect', () => (seen.connects += 1));
  if (!withSetup) await consume(model);
  const sender = await (await amqp.connect(`amqp://127.0.0.1:${port}`)).createConfirmChannel();
  const send = async (text) => {
    sender.sendToQueue(queue, Buffer.from(text));
    await sender.waitForConfirms();
  };
  await send('before');
  for (let i = 0; i < 100 && seen.got.length < 1; i += 1) await pause(100);
  await pause(200);
  const before = seen.connects;
  for (const socket of sockets.splice(0)) socket.destroy();
  for (let i = 0; i < 150 && seen.connects === before; i += 1) await pause(100);
  seen.connects -= before;
  await send('after');
  await pause(3000);
  const { consumerCount, messageCount } = await (await model.createChannel()).checkQueue(queue);
  return { ...seen, consumerCount, messageCount };
}

const seen = { true: await run('one', false), setup: await run('two', true) };
console.log(seen);
assert.deepEqual(seen, {
  true: { got: ['before'], connects: 1, closed: 1, consumerCount: 0, messageCount: 1 },
  setup: { got: ['before', 'after'], connects: 1, closed: 1, consumerCount: 1, messageCount: 0 },
});
process.exit(0);
JS
for _ in $(seq 300); do ! grep -q 'Starting broker... completed' broker.log || break; sleep 0.1; done
node run.mjs "$RABBITMQ_NODE_PORT"
