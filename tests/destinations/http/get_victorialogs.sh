#!/bin/sh
# Builds VictoriaLogs from its Go module, and prints its path.
#
# Kept in ${DUOLOGSYNC_CACHE:-~/.cache/duologsync}; built once (about two minutes on two cores), then only looked at.
set -eu
. "$(dirname "$0")/../../go_tools.sh"

version=v1.52.1
cache=${DUOLOGSYNC_CACHE:-$HOME/.cache/duologsync}
victorialogs=$cache/victorialogs-$version/victoria-logs

if [ ! -x "$victorialogs" ]; then
    mkdir -p "$cache/victorialogs-$version"
    build=$(mktemp -d "$cache/victorialogs-build.XXXXXX")
    trap 'rm -rf "$build"' EXIT
    echo "Building VictoriaLogs $version ..." >&2
    use_go "$build"
    GOBIN=$build/bin go install "github.com/VictoriaMetrics/VictoriaLogs/app/victoria-logs@$version" >&2
    # A build that is cut off leaves no file under the name that is looked for.
    mv "$build/bin/victoria-logs" "$victorialogs"
fi
echo "$victorialogs"
