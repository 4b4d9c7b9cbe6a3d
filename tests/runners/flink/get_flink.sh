#!/bin/sh
# Builds Flink with Beam's job server from Maven Central, as one jar in the cache, and prints its path.
#
# Kept in ${DUOLOGSYNC_CACHE:-~/.cache/duologsync}, under a name that changes with the pom; built once, then only looked at.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
cache=${DUOLOGSYNC_CACHE:-$HOME/.cache/duologsync}
jar=$cache/flink-$(cksum <"$here/pom.xml" | cut -d' ' -f1).jar
if [ ! -e "$jar" ]; then
    for tool in java mvn; do
        command -v $tool >/dev/null || { echo "Flink needs $tool: install default-jdk-headless and maven." >&2; exit 2; }
    done
    mkdir -p "$cache"
    echo "Building Flink with Beam's job server ..." >&2
    build=$(mktemp -d "$cache/flink-build.XXXXXX")
    trap 'rm -rf "$build"' EXIT
    mvn -q -B -f "$here/pom.xml" -Dbuild.to="$build" package >&2
    mv "$build"/flink-for-tests-1.jar "$jar"
fi
echo "$jar"
