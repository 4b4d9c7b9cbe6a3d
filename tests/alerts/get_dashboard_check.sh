#!/bin/sh
# Builds dashboard_check from Go modules, and prints its path: Grafana's own types, which refuse what they do not know.
#
# Kept in ${DUOLOGSYNC_CACHE:-~/.cache/duologsync}; built once (about a minute), then only looked at.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../go_tools.sh"

version=v0.0.22
cache=${DUOLOGSYNC_CACHE:-$HOME/.cache/duologsync}
checker=$cache/grafana-types-$version-$(cksum <"$here/dashboard_check/main.go" | cut -d' ' -f1)/dashboard_check

if [ ! -x "$checker" ]; then
    mkdir -p "$(dirname "$checker")"
    build=$(mktemp -d "$cache/grafana-types-build.XXXXXX")
    trap 'rm -rf "$build"' EXIT
    echo "Building a reader of dashboards from Grafana's types $version ..." >&2
    use_go "$build"
    mkdir "$build/source"
    cp "$here/dashboard_check/main.go" "$build/source"
    cd "$build/source"
    go mod init dashboard_check 2>/dev/null
    go get "github.com/grafana/grafana-foundation-sdk/go@$version" >&2
    go build -o "$build/dashboard_check" . >&2
    # A build that is cut off leaves no file under the name that is looked for.
    mv "$build/dashboard_check" "$checker"
fi
echo "$checker"
