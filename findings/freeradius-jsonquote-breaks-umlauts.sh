#!/usr/bin/env bash
# FreeRADIUS's jsonquote, made for names in JSON, writes each byte of an ü as a letter of its own.
#
# With:  freeradius, freeradius-utils and freeradius-rest 3.2.1 (Debian 12's packages); Node 20 or newer.
# Input: an Accounting-Request of the user jürgen "j", in UTF-8 as RFC 2865 section 5.1 says, sent on as JSON by rlm_rest with
#        %{User-Name} and with %{jsonquote:%{User-Name}} in its data.
# Seen:  jsonquote gives j\u00C3\u00BCrgen \"j\", which is valid JSON and reads jÃ¼rgen "j". The name without it arrives as it is:
#        rlm_rest escapes what it expands in data by itself, the quotation marks too.
# So:    names go into data bare; one customer under two spellings of his name is two customers.
set -euo pipefail
command -v freeradius >/dev/null && command -v radclient >/dev/null && [ -e /usr/lib/freeradius/rlm_rest.so ] ||
  { echo 'needs FreeRADIUS: apt install freeradius freeradius-utils freeradius-rest (seen with 3.2.1+dfsg-4+deb12u1)'; exit 2; }
dir=$(mktemp -d)
running=()
trap 'for p in "${running[@]}"; do kill "$p" 2>/dev/null || true; done; wait; rm -rf "$dir"' EXIT
cd "$dir"
cat >run.mjs <<'JS'
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { writeFileSync } from 'node:fs';

const bodies = [];
const server = createServer(async (request, response) => {
  bodies.push(Buffer.concat(await request.toArray()).toString());
  response.writeHead(204).end();
}).listen(0, '127.0.0.1', () => writeFileSync('port', String(server.address().port)));
for (let i = 0; i < 400 && bodies.length < 1; i += 1) await new Promise((resolve) => setTimeout(resolve, 100));
server.closeAllConnections();
server.close();
console.log(bodies[0]);
assert.deepEqual(JSON.parse(bodies[0]), { plain: 'jürgen "j"', quoted: 'jÃ¼rgen "j"' });
assert.ok(bodies[0].includes('"quoted":"j\\u00C3\\u00BCrgen'));
JS
node run.mjs &
server=$!
running+=("$server")
for _ in $(seq 100); do [ ! -s port ] || break; sleep 0.1; done
radius=$(node -e 'const s = require("dgram").createSocket("udp4"); s.bind(0, "127.0.0.1", () => { console.log(s.address().port); s.close(); })')
cat >radiusd.conf <<CONF
name = radiusd
libdir = /usr/lib/freeradius
logdir = $dir
run_dir = $dir
modules {
  rest {
    tls {
    }
    accounting {
      uri = "http://127.0.0.1:$(cat port)/"
      method = 'post'
      body = 'json'
      data = '{"plain":"%{User-Name}","quoted":"%{jsonquote:%{User-Name}}"}'
      timeout = 10.0
      tls = \${..tls}
    }
    pool {
      start = 0
      min = 0
      max = 1
      spare = 1
      uses = 0
      lifetime = 0
      idle_timeout = 60
      retry_delay = 5
    }
  }
}
client localhost {
  ipaddr = 127.0.0.1
  secret = testing123
}
server default {
  listen {
    type = acct
    ipaddr = 127.0.0.1
    port = $radius
  }
  accounting {
    rest
  }
}
CONF
freeradius -f -l stdout -xx -d "$dir" -D /usr/share/freeradius >freeradius.log 2>&1 &
running+=("$!")
for _ in $(seq 200); do ! grep -q 'Ready to process requests' freeradius.log || break; sleep 0.1; done
echo 'User-Name = "jürgen \"j\"", Acct-Status-Type = Start, Acct-Session-Id = "1"' |
  radclient -D /usr/share/freeradius -r 1 -t 20 "127.0.0.1:$radius" acct testing123
wait "$server"
