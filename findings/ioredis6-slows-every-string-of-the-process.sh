#!/usr/bin/env bash
# Importing ioredis 6 makes reading texts letter by letter several times slower in the whole process, with or without Redis.
#
# With:  ioredis 6.0.0 and 5.8.2; Node 20.20 (V8 11.3).
# Input: a text of 36 letters, read with charCodeAt in a loop, two million times; nothing is sent to any Redis.
# Seen:  since version 6 its decoder has a class that extends String. V8 then keeps String.prototype as a dictionary, and optimized code
#        calls a generic lookup for every charCodeAt: %HasFastProperties(String.prototype) is false after the import, and the loop takes
#        several times as long. With ioredis 5 neither happens. A few thousand lookups through an object whose prototype is
#        String.prototype make V8 put it right, for good.
# So:    whoever imports it where texts are parsed looks such an object up once after the import.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm init -y >/dev/null
npm install --silent --no-fund --no-audit ioredis@6.0.0 ioredis5@npm:ioredis@5.8.2
cat >run.mjs <<'JS'
const [name, healed] = process.argv.slice(2);
if (name !== 'none') await import(name);
if (healed) {
  const lookUp = (object) => object.charCodeAt;
  for (let i = 0; i < 5000; i += 1) lookUp(Object.create(String.prototype));
}
const sum = (text) => {
  let total = 0;
  for (let i = 0; i < 36; i += 1) total += text.charCodeAt(i);
  return total;
};
const text = '6f1c4a52-0d0e-5b7c-9a53-7a1d3e5c8b21';
for (let i = 0; i < 200000; i += 1) sum(text);
const before = process.cpuUsage().user;
for (let i = 0; i < 2000000; i += 1) sum(text);
const fast = new Function('return %HasFastProperties(String.prototype)')();
console.log(JSON.stringify({ fast, ms: Math.round((process.cpuUsage().user - before) / 1000) }));
JS
cat >check.mjs <<'JS'
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';

const seen = {};
for (const [label, ...args] of [['without', 'none'], ['ioredis 5', 'ioredis5'], ['ioredis 6', 'ioredis'], ['put right', 'ioredis', 'healed']])
  seen[label] = JSON.parse(execFileSync(process.execPath, ['--allow-natives-syntax', 'run.mjs', ...args], { encoding: 'utf8' }));
console.log(seen);
assert.deepEqual(Object.values(seen).map(({ fast }) => fast), [true, true, false, true]);
assert.ok(seen['ioredis 6'].ms > 2 * seen.without.ms, 'it is as fast as without');
assert.ok(seen['put right'].ms < seen['ioredis 6'].ms / 2, 'it stays slow');
JS
node check.mjs
