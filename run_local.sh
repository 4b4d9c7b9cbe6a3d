#!/bin/sh
# Runs Duo Log Sync on this machine.
#
#   ./run_local.sh               the demo: a simulated Duo, the real pipeline, a receiver that shows what arrives. No credentials.
#   ./run_local.sh config.yml    the real thing with your configuration, until Ctrl-C
#   ./run_local.sh VERB …        any other verb of duologsync (validate, status, schema, …)
#
# Needs Python 3.10 to 3.12 and nothing else: the first run makes the environment .venv beside this file (set DUOLOGSYNC_VENV to
# have it elsewhere), later runs use it as long as the dependencies stay the same. DUOLOGSYNC_EXTRAS="[dev]" adds the test tools.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
venv=${DUOLOGSYNC_VENV:-$here/.venv}
extras=${DUOLOGSYNC_EXTRAS:-}
stamp=$venv/.installed

find_python() {
    for candidate in ${PYTHON:-} python3.12 python3.11 python3.10 python3 python; do
        if command -v "$candidate" >/dev/null 2>&1 &&
            "$candidate" -c 'import sys, venv; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    echo "run_local.sh: no Python 3.10, 3.11 or 3.12 with the venv module was found. Install one (Debian: apt install python3-venv)," >&2
    echo "or name it: PYTHON=/path/to/python3.11 ./run_local.sh" >&2
    exit 2
}

wanted="$(cat "$here/setup.py" "$here/constraints.txt" | cksum) $extras"
if [ ! -f "$stamp" ] || [ "$(cat "$stamp")" != "$wanted" ]; then
    python=$(find_python)
    echo "Making the environment in $venv (once; about a minute) ..." >&2
    "$python" -m venv "$venv"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --constraint "$here/constraints.txt" --editable "$here$extras" >&2
    echo "$wanted" >"$stamp"
fi

if [ $# -eq 0 ]; then
    set -- demo
fi
exec "$venv/bin/duologsync" "$@"
