#!/bin/sh
# Copies Flink and Beam's job server from Maven Central into the cache, and prints the folder of jars.
#
# Kept in ${DUOLOGSYNC_CACHE:-~/.cache/duologsync}, under a name that changes with the pom; copied once, then only looked at.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
cache=${DUOLOGSYNC_CACHE:-$HOME/.cache/duologsync}/flink-$(cksum <"$here/pom.xml" | cut -d' ' -f1)
if [ ! -d "$cache/lib" ]; then
    for tool in java mvn; do
        command -v $tool >/dev/null || { echo "Flink needs $tool: install default-jdk-headless and maven." >&2; exit 2; }
    done
    mkdir -p "$cache"
    echo "Copying Flink and Beam's job server ..." >&2
    rm -rf "$cache/new"
    mvn -q -B -f "$here/pom.xml" dependency:copy-dependencies -DoutputDirectory="$cache/new" >&2
    mv "$cache/new" "$cache/lib"
fi
echo "$cache/lib"
