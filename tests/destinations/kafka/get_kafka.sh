#!/bin/sh
# Fetches an Apache Kafka broker from Maven Central as a folder of jars in the cache, and prints the folder's path.
#
# Kept in ${DUOLOGSYNC_CACHE:-~/.cache/duologsync}, under a name that changes with the pom; fetched once, then only looked at.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
cache=${DUOLOGSYNC_CACHE:-$HOME/.cache/duologsync}
jars=$cache/kafka-$(cksum <"$here/pom.xml" | cut -d' ' -f1)
if [ ! -e "$jars" ]; then
    for tool in java mvn; do
        command -v $tool >/dev/null || { echo "Kafka needs $tool: install default-jdk-headless and maven." >&2; exit 2; }
    done
    mkdir -p "$cache"
    echo "Fetching Kafka ..." >&2
    build=$(mktemp -d "$cache/kafka-build.XXXXXX")
    trap 'rm -rf "$build"' EXIT
    mvn -q -B -f "$here/pom.xml" dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$build/jars" >&2
    mv "$build/jars" "$jars"
fi
echo "$jars"
