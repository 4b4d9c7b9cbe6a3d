#!/bin/sh
# Builds Beam's portable local runner, Prism, from the Go module of the same version as the Python package, and prints its path.
#
# Kept in ${DUOLOGSYNC_CACHE:-~/.cache/duologsync}; built once (about three minutes on two cores), then only looked at.
set -eu
. "$(dirname "$0")/../go_tools.sh"

version=v2.77.0
cache=${DUOLOGSYNC_CACHE:-$HOME/.cache/duologsync}
prism=$cache/prism-$version/prism

if [ ! -x "$prism" ]; then
    mkdir -p "$cache/prism-$version"
    build=$(mktemp -d "$cache/prism-build.XXXXXX")
    trap 'rm -rf "$build"' EXIT
    echo "Building Prism $version ..." >&2
    use_go "$build"
    GOBIN=$build/bin go install "github.com/apache/beam/sdks/v2/go/cmd/prism@$version" >&2
    # A build that is cut off leaves no file under the name that is looked for.
    mv "$build/bin/prism" "$prism"
fi
echo "$prism"
