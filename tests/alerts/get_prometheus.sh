#!/bin/sh
# Unpacks Debian's Prometheus, whose installation would start a server, and prints the folder of its programs.
#
# Kept in ${DUOLOGSYNC_CACHE:-~/.cache/duologsync}; nothing is installed.
set -eu

cache=${DUOLOGSYNC_CACHE:-$HOME/.cache/duologsync}
folder=$cache/prometheus

if [ ! -x "$folder/usr/bin/promtool" ]; then
    mkdir -p "$cache"
    build=$(mktemp -d "$cache/prometheus-build.XXXXXX")
    trap 'rm -rf "$build"' EXIT
    cd "$build"
    # A machine that is new has no list of packages. What else the package asks for are pages, and libc is everywhere.
    apt-cache show prometheus >/dev/null 2>&1 || apt-get update -qq >&2
    apt-get download -qq -o APT::Sandbox::User=root prometheus >&2
    dpkg -x prometheus_*.deb root
    # An unpacking that is cut off leaves nothing under the name that is looked for.
    rm -rf "$folder"
    mv root "$folder"
fi
echo "$folder/usr/bin"
