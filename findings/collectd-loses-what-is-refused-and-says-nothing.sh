#!/usr/bin/env bash
# collectd's write_http takes every answer for a success: what was refused is gone, and no log says so.
#
# With:  collectd-core 5.12.0 and libyajl2 (Debian 12's packages); Node 20 or newer.
# Input: the uptime five times a second, to a server that answers 503 with Retry-After: 1 to all; logfile at LogLevel info.
# Seen:  each request has new values, none is sent again, and the log has not a word of it: a status of 400 and more is
#        no error. LogHttpError true logs it, on the level INFO, and loses the values all the same.
# So:    values that must arrive go by something that repeats; LogHttpError true in any case.
set -euo pipefail
PATH=$PATH:/usr/sbin
[ -e /usr/lib/collectd/write_http.so ] || { echo 'needs collectd: apt install collectd-core libyajl2 (seen with 5.12.0-14)'; exit 2; }
dir=$(mktemp -d)
running=()
trap 'for p in "${running[@]}"; do kill "$p" 2>/dev/null || true; done; wait; rm -rf "$dir"' EXIT
cd "$dir"
cat >run.mjs <<'JS'
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { readFileSync, writeFileSync } from 'node:fs';

const requests = { silent: 0, logging: 0 };
const times = { silent: [], logging: [] };
const done = () => Object.values(requests).every((n) => n >= 4);
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const server = createServer(async (request, response) => {
  const node = request.url.slice(1);
  const values = JSON.parse(Buffer.concat(await request.toArray()).toString());
  requests[node] += 1;
  times[node].push(...values.map(({ time }) => time));
  response.writeHead(503, { 'retry-after': '1' }).end();
}).listen(0, '127.0.0.1', () => writeFileSync('port', String(server.address().port)));
for (let i = 0; i < 400 && !done(); i += 1) await pause(100);
await pause(300);
const { logging } = requests;
const lines = readFileSync('collectd.log', 'utf8').split('\n').filter((line) => /503|write_http plugin/.test(line));
console.log(requests, times.silent.length, 'values', lines);
server.closeAllConnections();
server.close();
assert.ok(done());
for (const node of Object.values(times)) assert.equal(new Set(node).size, node.length);
// The lines of the one node, and none of the other.
assert.ok(lines.length >= logging - 1 && lines.length <= logging, `${lines.length} lines`);
for (const line of lines) assert.match(line, /\[info\] write_http plugin: HTTP Error code: 503/);
JS
node run.mjs &
server=$!
running+=("$server")
for _ in $(seq 100); do [ ! -s port ] || break; sleep 0.1; done
cat >collectd.conf <<CONF
Hostname "here"
BaseDir "$dir"
PIDFile "$dir/pid"
PluginDir "/usr/lib/collectd"
TypesDB "/usr/share/collectd/types.db"
Interval 0.2
LoadPlugin logfile
<Plugin logfile>
  LogLevel info
  PrintSeverity true
  File "$dir/collectd.log"
</Plugin>
LoadPlugin uptime
LoadPlugin write_http
<Plugin write_http>
  <Node "silent">
    URL "http://127.0.0.1:$(cat port)/silent"
    Format "JSON"
    BufferSize 1024
  </Node>
  <Node "logging">
    URL "http://127.0.0.1:$(cat port)/logging"
    Format "JSON"
    BufferSize 1024
    LogHttpError true
  </Node>
</Plugin>
CONF
collectd -f -C collectd.conf >collectd.out 2>&1 &
running+=("$!")
wait "$server"
