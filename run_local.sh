#!/bin/sh
# Runs Duo Log Sync on this machine.
#
#   ./run_local.sh               the demo: a simulated Duo, the real pipeline, a receiver that shows what arrives. No credentials.
#   ./run_local.sh config.yml    the real thing with your configuration, until Ctrl-C
#   ./run_local.sh VERB …        any other verb of duologsync (validate, status, schema, …)
#
# Needs Python 3.10 to 3.14 and nothing else, and takes the newest that there is: the first run makes the environment .venv beside
# this file (set DUOLOGSYNC_VENV to have it elsewhere), later runs use it as long as the dependencies stay the same. DUOLOGSYNC_EXTRAS="[dev]" adds the test tools.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
venv=${DUOLOGSYNC_VENV:-$here/.venv}
extras=${DUOLOGSYNC_EXTRAS:-}
stamp=$venv/.installed

# What is wrong with a Python; nothing where it will do.
trouble_with() {
    "$1" - 2>/dev/null <<'END' || echo "does not start"
import sys, sysconfig
version = ".".join(map(str, sys.version_info[:3]))
if not (3, 10) <= sys.version_info[:2] <= (3, 14):
    print(f"is Python {version}")
elif sysconfig.get_config_var("Py_GIL_DISABLED"):
    print(f"is Python {version} without the lock that Beam needs (free-threaded)")
else:
    try:
        import ensurepip, venv
    except ImportError:
        print(f"is Python {version} without venv")
END
}

# The newest that will do, or the one that was named.
find_python() {
    seen=
    for candidate in ${PYTHON:-python3.14 python3.13 python3.12 python3.11 python3.10 python3 python}; do
        command -v "$candidate" >/dev/null 2>&1 || continue
        trouble=$(trouble_with "$candidate")
        if [ -z "$trouble" ]; then
            echo "$candidate"
            return
        fi
        seen="$seen
  $candidate $trouble"
    done
    echo "run_local.sh: it needs Python 3.10 to 3.14 with venv, and found ${PYTHON:-none}:${seen:- nothing}
Install one (Debian, Ubuntu: apt install python3-venv; Fedora: dnf install python3), or name one that you have:
PYTHON=/path/to/python3.13 ./run_local.sh" >&2
    exit 2
}

wanted="$(cat "$here/setup.py" "$here/constraints.txt" | cksum) $extras"
if [ ! -x "$venv/bin/python" ] || [ ! -f "$stamp" ] || [ "$(cat "$stamp")" != "$wanted" ]; then
    python=$(find_python)
    clear=
    # The Python that it was made of is gone, as after an upgrade of the system.
    if [ -f "$venv/pyvenv.cfg" ] && [ ! -x "$venv/bin/python" ]; then
        clear=--clear
    fi
    echo "Making the environment in $venv (once; about a minute) ..." >&2
    "$python" -m venv $clear "$venv"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --constraint "$here/constraints.txt" --editable "$here$extras" >&2
    echo "$wanted" >"$stamp"
fi

if [ $# -eq 0 ]; then
    set -- demo
fi
exec "$venv/bin/duologsync" "$@"
