#!/usr/bin/env bash
# syslog-ng's http() repeats a message that is answered 400 for ever, and all behind it waits. Only 422 drops it.
#
# With:  syslog-ng-core and syslog-ng-mod-http 3.38.1 (Debian 12's packages); Node 20 or newer.
# Input: a file of three lines, sent to a server that answers 400, 401, 404, 413, 422, 429 or 500, by the path; retries(2).
# Seen:  422: three requests, one a line. All others: the first line again and again, far beyond retries(2), and never the
#        second. response-action(429 => retry), which reads like more patience, is the one that gives a line up.
# So:    a receiver answers 422 to a message that will never be good, and a configuration says response-action(400 => drop).
set -euo pipefail
PATH=$PATH:/usr/sbin
[ -e /usr/lib/syslog-ng/3.38/libhttp.so ] ||
  { echo 'needs syslog-ng 3.38: apt install syslog-ng-core syslog-ng-mod-http (seen with 3.38.1-5+deb12u1)'; exit 2; }
dir=$(mktemp -d)
running=()
trap 'for p in "${running[@]}"; do kill "$p" 2>/dev/null || true; done; wait; rm -rf "$dir"' EXIT
cd "$dir"
port=$(node -e 'const s = require("net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close(); })')
printf 'one\ntwo\nthree\n' >lines
{
  echo '@version: 3.38'
  for path in 400 401 404 413 422 429 429-retry 500; do
    action=
    [ "$path" != 429-retry ] || action='response-action(429 => retry)'
    echo "destination \"d-$path\" { http(url(\"http://127.0.0.1:$port/$path\") method(\"POST\") body(\"\${MSG}\")
      retries(2) time-reopen(1) persist-name(\"p-$path\") $action); };"
    echo "log { source { file(\"$dir/lines\" flags(no-parse) read-old-records(yes) persist-name(\"s-$path\")); }; destination(\"d-$path\"); };"
  done
} >syslog-ng.conf
cat >run.mjs <<'JS'
import assert from 'node:assert/strict';
import { createServer } from 'node:http';

const seen = {};
const repeated = ['400', '401', '404', '413', '429', '500'];
const done = () => repeated.every((path) => seen[path]?.length >= 6) && ['422', '429-retry'].every((path) => seen[path]?.includes('three'));
const server = createServer((request, response) => {
  const path = request.url.slice(1);
  let body = '';
  request.setEncoding('utf8').on('data', (chunk) => (body += chunk)).on('end', () => {
    (seen[path] ??= []).push(body.trim());
    response.writeHead(parseInt(path)).end();
  });
}).listen(Number(process.argv[2]), '127.0.0.1');
for (let i = 0; i < 500 && !done(); i += 1) await new Promise((resolve) => setTimeout(resolve, 100));
server.closeAllConnections();
server.close();
for (const [path, bodies] of Object.entries(seen)) console.log(path, bodies.join(' '));
assert.ok(done());
for (const path of repeated) assert.deepEqual([...new Set(seen[path])], ['one'], path);
assert.deepEqual(seen['422'], ['one', 'two', 'three']);
assert.deepEqual(seen['429-retry'].slice(0, 4), ['one', 'one', 'two', 'two']);
JS
node run.mjs "$port" &
server=$!
running+=("$server")
for _ in $(seq 100); do (echo >"/dev/tcp/127.0.0.1/$port") 2>/dev/null && break; sleep 0.1; done
syslog-ng -F --no-caps -f syslog-ng.conf -R "$dir/persist" -p "$dir/pid" -c "$dir/control" >syslog-ng.log 2>&1 &
running+=("$!")
wait "$server"
