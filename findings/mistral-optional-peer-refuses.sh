#!/usr/bin/env bash
# An optional peer of Mistral's SDK decides which OpenTelemetry exporter a whole application may have: the SDK is not installed
# beside another minor of it, although it would work without any. Every 0.x minor of the exporters is a range of its own.
# With:  @mistralai/mistralai 2.7.0 (optional peer ^0.220.0), @opentelemetry/exporter-trace-otlp-http 0.223.1, npm 11 on Node 20
# Input: an empty package that installs both.
# Seen:  ERESOLVE, nothing installed. With an `overrides` entry that gives the SDK the application's exporter both are.
# So:    package.json has that entry, since the SDK's types are what one row of usage objects is held to.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm init -y >/dev/null
install() {
  npm install --no-audit --no-fund --ignore-scripts @opentelemetry/exporter-trace-otlp-http@0.223.1 @mistralai/mistralai@2.7.0
}
if said=$(install 2>&1); then plain=installed; else plain=$(grep -om1 ERESOLVE <<<"$said" | head -1); fi
echo "as they are:     $plain"
npm pkg set 'overrides.@mistralai/mistralai.@opentelemetry/exporter-trace-otlp-http=0.223.1'
if install >/dev/null 2>&1 && [ -d node_modules/@mistralai/mistralai ]; then overridden=installed; else overridden=refused; fi
echo "with overrides:  $overridden"
[ "$plain" = ERESOLVE ] && [ "$overridden" = installed ]
