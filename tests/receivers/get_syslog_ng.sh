#!/bin/sh
# Unpacks Debian's syslog-ng, which cannot be installed beside rsyslog, and prints the folder that it was unpacked into.
#
# Kept in ${DUOLOGSYNC_CACHE:-~/.cache/duologsync}. Libraries that this machine lacks are unpacked with it; nothing is installed.
set -eu

cache=${DUOLOGSYNC_CACHE:-$HOME/.cache/duologsync}
folder=$cache/syslog-ng

if [ ! -x "$folder/usr/sbin/syslog-ng" ]; then
    mkdir -p "$cache"
    build=$(mktemp -d "$cache/syslog-ng-build.XXXXXX")
    trap 'rm -rf "$build"' EXIT
    cd "$build"
    # What installing it would bring, less what would make room for it: apt says so and does nothing.
    plan="apt-get install -s --no-install-recommends syslog-ng-core"
    $plan >/dev/null 2>&1 || apt-get update -qq # a machine that is new has no list of packages
    packages=$(echo syslog-ng-core; $plan | sed -n 's/^Inst \([^ ]*\) .*/\1/p')
    # shellcheck disable=SC2046,SC2086
    apt-get download -qq -o APT::Sandbox::User=root $(echo "$packages" | sort -u) >&2
    for package in *.deb; do
        dpkg -x "$package" root
    done
    # An unpacking that is cut off leaves nothing under the name that is looked for.
    rm -rf "$folder"
    mv root "$folder"
fi
echo "$folder"
