"""Events alone on standard output: the log and whatever else prints goes to standard error."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipelines import exit_codes

ROOT = Path(__file__).parents[3]
SENDING = """
import logging, sys
from tests.destinations.stdout.test_stdout import page, sender_here
logging.basicConfig(level=logging.INFO)
sender = sender_here()
sender.test_connection()
print("before the first event it is for everybody", flush=True)
for number in range(3):
    sender.begin()
    sender.send(page([b"%d.%d" % (number, n) for n in range(int(sys.argv[1]))]))
    print("a library says something", flush=True)
    sender.confirm()
    logging.info("the log goes on")
    print("and something more", flush=True)
"""


def sender_here(**changes):
    from transforms.destinations.stdout.sender import make
    from transforms.destinations.stdout.settings import StdoutSettings
    from transforms.formats.json_lines import JsonOptions
    from transforms.settings import Destination, Format

    return make(Destination("out", StdoutSettings(), Format(JsonOptions()), **changes))


def page(those):
    from transforms.records import FormattedPage, Stream

    return FormattedPage(Stream("acme", "auth"), those, those)


def started(program: str, *arguments: object, stdout=subprocess.PIPE) -> subprocess.Popen[bytes]:
    words = [sys.executable, "-c", program, *map(str, arguments)]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(words, stdout=stdout, stderr=subprocess.PIPE, env=env, cwd=ROOT)


def test_nothing_gets_between_two_events():
    out, err = started(SENDING, 5).communicate(timeout=60)
    first, second, *rest = out.decode().splitlines()
    assert (first, second) == ("before the first event it is for everybody", "a library says something")
    assert rest == [f"{number}.{n}" for number in range(3) for n in range(5)]
    assert err.decode().count("and something more") == 3
    assert err.decode().count("the log goes on") == 3


def test_a_slow_reader_gets_everything():
    process = started(SENDING, 20_000)
    out = b""
    while piece := process.stdout.read1(4096):
        out += piece
        time.sleep(0.0005)
    assert process.wait(60) == 0
    assert len(out.splitlines()) == 60_000 + 2


def test_a_file_in_its_place_gets_everything(tmp_path):
    with (tmp_path / "out").open("wb") as file:
        process = started(SENDING, 1000, stdout=file)
        process.communicate(timeout=60)
    assert len((tmp_path / "out").read_bytes().splitlines()) == 3000 + 2


WAITING = """
import sys, threading, time
from tests.destinations.stdout.test_stdout import page, sender_here
from transforms.errors import DeliveryTimeout
sender = sender_here(delivery_timeout_secs=0.5)
rows = [b"%06d" % n for n in range(50_000)]
sender.begin()
sender.send(page(rows))
try:
    sender.confirm()
except DeliveryTimeout:
    print("gave up", file=sys.stderr, flush=True)
sys.stdin.read()
sender.begin()
sender.send(page(rows))
sender.confirm()
"""


def test_a_reader_that_reads_nothing_is_waited_for_and_a_line_that_was_begun_is_ended_before_the_next_bundle():
    words = [sys.executable, "-c", WAITING]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(words, env=env, cwd=ROOT, **pipes) as process:
        assert process.stderr.readline() == b"gave up\n"
        process.stdin.close()
        lines = process.stdout.read().split(b"\n")
        assert process.wait(60) == 0
    whole = {b"%06d" % n for n in range(50_000)}
    assert set(lines[:-1]) == whole
    repeated = len(lines) - 1 - 50_000
    assert 0 < repeated < 20_000, "what the pipe had taken before"


BROKEN = """
import sys
from tests.destinations.stdout.test_stdout import page, sender_here
from transforms.errors import BadDestination
sender = sender_here()
sys.stdin.read()
sender.begin()
sender.send(page([b"x"] * 100_000))
try:
    sender.confirm()
except BadDestination as error:
    print(error, file=sys.stderr)
"""


def test_where_nobody_reads_any_more_it_stops():
    words = [sys.executable, "-c", BROKEN]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(words, env=env, cwd=ROOT, **pipes) as process:
        process.stdout.close()
        process.stdin.close()
        assert process.stderr.read() == b"Destination out: nobody reads standard output any more.\n"
        assert process.wait(60) == 0


@pytest.mark.servers
@pytest.mark.parametrize("reads_on", [True, False], ids=["read", "not read any more"])
def test_the_program_in_front_of_a_pipe(simulator, authority, skey, tmp_path, reads_on):
    from tests.conftest import IKEY, now_ms

    (tmp_path / "skey").write_text(skey)
    simulator.add_backlog("auth", 300, now_ms() - 3_600_000, now_ms() - 60_000)
    config = tmp_path / "config.yml"
    config.write_text(
        f"""version: 2
accounts:
  - {{api_host: localhost, port: {simulator.port}, ca_file: {authority.ca_file}, ikey: {IKEY}, skey: "file:skey"}}
reading: {{start_days: 1, poll_interval_secs: 1, lag_secs: 0}}
destinations: [{{name: out, kind: stdout, format: json}}]
routes: [{{log_types: auth, destinations: out}}]
storage: {{checkpoint_dir: checkpoints}}
"""
    )
    words = [sys.executable, "-m", "pipelines", "run", str(config)]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(words, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        lines = [process.stdout.readline() for _ in range(300)]
        assert all(line.startswith(b"{") and b"txid" in line for line in lines)
        assert len(set(lines)) == 300
        if reads_on:
            process.send_signal(signal.SIGTERM)
            assert process.stdout.read() == b""
            assert process.wait(60) == exit_codes.OK
        else:
            process.stdout.close()
            simulator.add_backlog("auth", 10, now_ms() - 50, now_ms())
            assert process.wait(60) == exit_codes.DELIVERY
            assert b"nobody reads standard output any more" in process.stderr.read()
