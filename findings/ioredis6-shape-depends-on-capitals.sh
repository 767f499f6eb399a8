#!/usr/bin/env bash
# With ioredis 6 the answer to call() has another shape when the command's name is written in capitals.
#
# With:  ioredis 6.0.0 and 5.8.2, redis-server 7.0 or newer (Debian's package will do).
# Input: a stream with one entry, read by xread(...), call('xread', ...) and call('XREAD', ...); likewise a hash.
# Seen:  ioredis 6 speaks RESP3 unless told otherwise, and maps answers back to their old shapes by the command's name, which it
#        compares in lower case. call('XREAD') gives [key, entries], one level flatter than the [[key, entries]] of the
#        other two; call('hgetall') gives an object and call('HGETALL') a list. With ioredis 5 capitals make no difference to XREAD.
# So:    use the methods, or protocol: 2.
set -euo pipefail
dir=$(mktemp -d)
redis=
trap '[ -z "$redis" ] || kill "$redis" 2>/dev/null || true; rm -rf "$dir"' EXIT
cd "$dir"
npm init -y >/dev/null
npm install --silent --no-fund --no-audit ioredis@6.0.0 ioredis5@npm:ioredis@5.8.2
redis-server --port 0 --unixsocket "$dir/redis.sock" --save '' --daemonize no >/dev/null &
redis=$!
until [ -S "$dir/redis.sock" ]; do sleep 0.1; done
cat >run.mjs <<'JS'
import assert from 'node:assert/strict';
import { Redis as Redis6 } from 'ioredis';
import { Redis as Redis5 } from 'ioredis5';

async function answers(Redis, options) {
  const client = new Redis(process.argv[2], options);
  const args = ['COUNT', '1', 'STREAMS', 's', '0'];
  const seen = {
    method: await client.xread(...args),
    lower: await client.call('xread', ...args),
    upper: await client.call('XREAD', ...args),
  };
  client.disconnect();
  return seen;
}

const writer = new Redis6(process.argv[2]);
await writer.xadd('s', '1-0', 'field', 'value');
await writer.hset('h', 'field', 'value');
const hash = { lower: await writer.call('hgetall', 'h'), upper: await writer.call('HGETALL', 'h') };
writer.disconnect();

const stream = ['s', [['1-0', ['field', 'value']]]];
const five = await answers(Redis5);
const six = await answers(Redis6);
const sixOnTwo = await answers(Redis6, { protocol: 2 });
console.log(JSON.stringify({ five, six, sixOnTwo, hash }, null, 1));
assert.deepEqual(five, { method: [stream], lower: [stream], upper: [stream] });
assert.deepEqual(six, { method: [stream], lower: [stream], upper: stream });
assert.deepEqual(sixOnTwo, { method: [stream], lower: [stream], upper: [stream] });
assert.deepEqual(hash, { lower: { field: 'value' }, upper: ['field', 'value'] });
JS
node run.mjs "$dir/redis.sock"
