"""collectd's counters as events of Tidemark: one for each value that has grown, about the host. docs/shippers.md"""

import datetime
import json
import threading
import urllib.error
import urllib.request

import collectd

MOST_WAITING = 10_000
MOST_AT_ONCE = 500
TIMEOUT_S = 10

settings = {"url": "http://127.0.0.1:8080/v1/events?onInvalid=skip", "key": "", "plugins": []}
last = {}
waiting = []
lock = threading.Lock()


def configure(config):
    for node in config.children:
        name = node.key.lower()
        settings[name] = list(node.values) if name == "plugins" else node.values[0]


def write(values):
    if values.plugin not in settings["plugins"]:
        return
    name = "/".join(part for part in (values.plugin, values.plugin_instance, values.type, values.type_instance) if part)
    with lock:
        for source, value in zip(collectd.get_dataset(values.type), values.values):
            if source[1] not in ("counter", "derive"):
                continue
            key = f"{values.host}/{name}/{source[0]}"
            before, last[key] = last.get(key), value
            if before is None or value <= before:  # the first one, nothing, or the counter has begun anew
                continue
            moment = datetime.datetime.fromtimestamp(values.time, datetime.timezone.utc)
            waiting.append({
                "eventId": f"{key}/{values.time:.3f}",
                "timestamp": moment.isoformat(timespec="milliseconds"),
                "customerId": values.host,
                "eventType": f"collectd.{values.plugin}",
                "sourceId": f"{name}/{source[0]}"[:256],
                "value": value - before,
            })
        del waiting[:-MOST_WAITING]
        send()


def send():
    while waiting:
        batch = waiting[:MOST_AT_ONCE]
        request = urllib.request.Request(settings["url"], json.dumps(batch).encode(), {
            "Authorization": f"Bearer {settings['key']}",
            "Content-Type": "application/json",
        })
        try:
            urllib.request.urlopen(request, timeout=TIMEOUT_S).close()
        except urllib.error.HTTPError as error:
            collectd.warning(f"tidemark: {error.code} {error.read(1000).decode(errors='replace')}")
            if error.code not in (400, 413, 415, 422):
                return  # with the next values again
        except OSError as error:
            collectd.warning(f"tidemark: {error}")
            return
        del waiting[:len(batch)]


collectd.register_config(configure)
collectd.register_write(write)
