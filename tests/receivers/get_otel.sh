#!/bin/sh
# Builds an OpenTelemetry Collector from Go modules, of the parts in otel/main.go, and prints its path.
#
# Kept in ${DUOLOGSYNC_CACHE:-~/.cache/duologsync}, under a name that changes with its parts; built once (some minutes on two
# cores), then only looked at.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../go_tools.sh"

cache=${DUOLOGSYNC_CACHE:-$HOME/.cache/duologsync}
otelcol=$cache/otelcol-$(cat "$here/otel/go.mod" "$here/otel/main.go" | cksum | cut -d ' ' -f 1)
if [ ! -x "$otelcol" ]; then
    mkdir -p "$cache"
    build=$(mktemp -d "$cache/otelcol-build.XXXXXX")
    trap 'rm -rf "$build"' EXIT
    echo "Building the OpenTelemetry Collector ..." >&2
    use_go "$build"
    cp "$here/otel/go.mod" "$here/otel/main.go" "$build"
    (cd "$build" && CGO_ENABLED=0 go build -mod=mod -trimpath -ldflags "-s -w" -o otelcol . >log 2>&1) || {
        cat "$build/log" >&2
        exit 1
    }
    # A build that is cut off leaves no file under the name that is looked for.
    mv "$build/otelcol" "$otelcol"
fi
echo "$otelcol"
