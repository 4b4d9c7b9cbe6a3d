#!/bin/sh
# Runs every check of the project: ruff, mypy, and all tests, those with real servers included.
#
#   tests/run.sh          everything
#   tests/run.sh fast     without the tests that start real servers
#   tests/run.sh pythons  the tests without servers on every Python from 3.10 to 3.14 that this machine has
#   tests/run.sh proof --minutes 60           histories of simulated troubles, as many as there is time for; see tests/proof
#   tests/run.sh proof --chaos --minutes 30   blows at real processes
#   tests/run.sh -k tls   everything behind the first word that is not one of these goes to pytest
#
# Makes its own environment (.venv-dev), and installs Chromium, rsyslog, liblognorm, iproute2, Java and Maven from Debian packages
# where they are missing and it may. Prism, Flink and an OpenTelemetry Collector are built, Kafka is fetched, syslog-ng and
# Prometheus are unpacked, once, into ${DUOLOGSYNC_CACHE:-~/.cache/duologsync}, while the tests run that need none of them. Needs
# Python 3.10 to 3.14; other Pythons than the one of all this, in PATH or of pyenv, are found, and a part of the tests runs on the
# oldest and the newest of them, each in an environment of its own (.venv-dev-3.10).
set -eu

here=$(cd "$(dirname "$0")/.." && pwd)
cd "$here"
export DUOLOGSYNC_VENV="${DUOLOGSYNC_VENV:-$here/.venv-dev}" DUOLOGSYNC_EXTRAS="[dev]"

install_servers() {
    if command -v rsyslogd >/dev/null && command -v lognormalizer >/dev/null && command -v systemd-analyze >/dev/null &&
        command -v java >/dev/null && command -v mvn >/dev/null && command -v ip >/dev/null && command -v chromium >/dev/null &&
        command -v openssl >/dev/null &&
        [ -e /usr/lib/"$(uname -m)"-linux-gnu/rsyslog/lmnsd_ossl.so ]; then
        return
    fi
    packages="chromium fonts-dejavu-core iproute2 openssl rsyslog rsyslog-openssl liblognorm-utils systemd default-jdk-headless maven"
    if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
        echo "Installing $packages ..." >&2
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $packages >/dev/null
    else
        echo "The tests with real servers need: $packages. Install them, or run 'tests/run.sh fast'." >&2
        exit 2
    fi
}

# Here and not in the first test that needs them: they take minutes, and a test has a timeout.
build_servers() {
    export PYTHON=$bin/python
    renice -n 10 -p "$(sh -c 'echo $PPID')" >/dev/null
    tests/runners/get_prism.sh
    tests/runners/flink/get_flink.sh
    tests/destinations/kafka/get_kafka.sh
    tests/receivers/get_otel.sh
    tests/receivers/get_syslog_ng.sh
    tests/destinations/http/get_victorialogs.sh
    tests/alerts/get_prometheus.sh
    tests/alerts/get_dashboard_check.sh
    tests/receivers/get_readers.sh
}

# Exit code 5 says that no test was chosen; then the words behind run.sh meant those of the other half.
tests() {
    half=$1
    shift
    "$bin/python" -m pytest -m "$half" "$@" || [ $? -eq 5 ]
}

# The Pythons of this machine, oldest first: one a line.
find_pythons() {
    for minor in 10 11 12 13 14; do
        for candidate in "python3.$minor" "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.$minor.*/bin/python; do
            if "$candidate" -c "import sys, ensurepip, venv; sys.exit(sys.version_info[:2] != (3, $minor))" 2>/dev/null; then
                echo "$candidate"
                break
            fi
        done
    done
}

# What depends on the version of Python: values, coders, clients, senders, certificates. Left out are folders whose tests mostly
# start the program and wait, and what they show is the same on each.
depends_on_python="tests/config tests/dataflow tests/demo tests/destinations tests/duo tests/events tests/examples tests/files
    tests/formats tests/internals tests/log_types tests/metrics tests/notices tests/process tests/secrets tests/state
    tests/test_allocator.py tests/test_first_decoding.py"

version_of() {
    "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])'
}

# Tests on one Python, in an environment of its own: which Python, and words for pytest.
on_python() {
    version=$(version_of "$1")
    venv=$DUOLOGSYNC_VENV
    [ "$version" = "$(version_of "$bin/python")" ] || venv=$DUOLOGSYNC_VENV-$version
    PYTHON=$1 DUOLOGSYNC_VENV=$venv ./run_local.sh --version
    shift
    echo "On Python $version:" >&2
    PYTHONPATH=$here "$venv/bin/python" -m pytest -m "not servers" -n 2 --dist loadfile "$@"
}

./run_local.sh --version
bin=$DUOLOGSYNC_VENV/bin
if [ "${1:-}" = proof ]; then
    shift
    exec "$bin/python" -m tests.proof "$@"
fi
if [ "${1:-}" = pythons ]; then
    shift
    failed=0
    for each in $(find_pythons); do
        on_python "$each" "$@" || failed=$?
    done
    exit $failed
fi
only=
if [ "${1:-}" = fast ]; then
    shift
    only=fast
else
    PATH=$PATH:/usr/sbin
    install_servers
    # Meanwhile the tests run that need none of them; a fresh machine builds for a quarter of an hour.
    built=$(mktemp)
    trap 'rm -f "$built"; kill "$building" 2>/dev/null || true' EXIT
    build_servers >"$built" 2>&1 &
    building=$!
fi
"$bin/ruff" check .
"$bin/ruff" format --check .
"$bin/mypy"
failed=0
# Whole files, because some tests look at what those before them have seen.
tests "not servers" -n 2 --dist loadfile "$@" || failed=$?
if [ -z "$only" ]; then
    wait "$building" || { cat "$built" >&2; exit 2; }
    tests servers "$@" || failed=$?
    for each in $(find_pythons | sed -n '1p;1!{$p;}'); do
        if [ $# -eq 0 ] && [ "$(version_of "$each")" != "$(version_of "$bin/python")" ]; then
            on_python "$each" -q $depends_on_python || failed=$?
        fi
    done
fi
exit $failed
