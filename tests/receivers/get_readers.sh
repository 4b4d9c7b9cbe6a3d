#!/bin/sh
# Fetches the readers of our formats that nobody here wrote from PyPI, npm and Maven Central, and prints the folder that has them.
#
# Kept in ${DUOLOGSYNC_CACHE:-~/.cache/duologsync}, under a name that changes with this list; fetched once, then only looked at.
# Without Node there are fewer of them.
set -eu
here=$(cd "$(dirname "$0")" && pwd)

cache=${DUOLOGSYNC_CACHE:-$HOME/.cache/duologsync}
folder=$cache/readers-$(cat "$0" "$here/readers/pom.xml" | cksum | cut -d ' ' -f 1)
if [ ! -d "$folder" ]; then
    mkdir -p "$cache"
    build=$(mktemp -d "$cache/readers-build.XXXXXX")
    trap 'rm -rf "$build"' EXIT
    echo "Fetching readers ..." >&2
    "${PYTHON:-python3}" -m pip install -q --no-deps --target "$build/all/python" pycef==1.11 cefp==0.0.2 pourover==0.1b8 >&2
    mvn -q -B -f "$here/readers/pom.xml" dependency:copy-dependencies -DoutputDirectory="$build/all/java" >&2
    if command -v npm >/dev/null; then
        npm install --silent --no-audit --no-fund --prefix "$build/all/node" nsyslog-parser@0.10.1 >&2
    fi
    # A fetch that is cut off leaves nothing under the name that is looked for.
    mv "$build/all" "$folder"
fi
echo "$folder"
