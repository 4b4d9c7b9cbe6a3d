#!/bin/sh
# Starts what the image is used for: runners start a worker with flags only, everything else is a command line of duologsync.
set -eu

case "${1:-}" in
--version | --help | -h) exec duologsync "$@" ;;
-*) exec /opt/apache/beam/boot "$@" ;;
*) exec duologsync "$@" ;;
esac
