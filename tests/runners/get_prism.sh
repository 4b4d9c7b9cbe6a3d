#!/bin/sh
# Builds Beam's portable local runner, Prism, from the Go module of the same version as the Python package, and prints its path.
#
# Kept in ${DUOLOGSYNC_CACHE:-~/.cache/duologsync}; built once (about three minutes on two cores), then only looked at.
set -eu

version=v2.77.0
cache=${DUOLOGSYNC_CACHE:-$HOME/.cache/duologsync}/prism-$version
if [ ! -x "$cache/prism" ]; then
    command -v go >/dev/null || { echo "Prism is built with Go: install it (Debian: golang-go)." >&2; exit 2; }
    mkdir -p "$cache"
    echo "Building Prism $version ..." >&2
    # A build that is cut off leaves no file under the name that is looked for. An older Go fetches the one that the module asks for.
    GOTOOLCHAIN=${GOTOOLCHAIN:-auto} GOFLAGS=-p=2 GOBIN=$cache/new go install "github.com/apache/beam/sdks/v2/go/cmd/prism@$version" >&2
    mv "$cache/new/prism" "$cache/prism"
    rmdir "$cache/new"
fi
echo "$cache/prism"
