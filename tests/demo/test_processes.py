"""Simulator and receiver run as processes of their own: they say their port, do their work, and end cleanly on SIGTERM."""

import json
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from types import SimpleNamespace

from .conftest import Asker


@contextmanager
def process(module, *arguments):
    with subprocess.Popen(
        [sys.executable, "-m", module, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        try:
            yield running, json.loads(running.stdout.readline())
        finally:
            running.kill()


def end(running):
    running.send_signal(signal.SIGTERM)
    out, err = running.communicate(timeout=10)
    assert (running.returncode, err) == (0, "")
    return json.loads(out.splitlines()[-1])


def test_the_simulator_serves_its_backlog_and_produces_at_its_rate(tmp_path, skey):
    (tmp_path / "skey").write_text(skey + "\n")
    options = ("--skey-file", tmp_path / "skey", "--backlog", 1000, "--rate", 200, "--delay-secs", 0)
    with process("pipelines.demo.simulator", *options) as (running, ready):
        assert ready["event"] == "ready"
        ask = Asker(SimpleNamespace(port=ready["port"]), skey)
        week_ago = int((time.time() - 8 * 86_400) * 1000)
        began = sum(
            ask.page(t, mintime=week_ago, limit=1)["metadata"]["total_objects"] for t in ("auth", "activity", "telephony")
        )
        assert began >= 970  # Trust Monitor has 3 of a hundred, and does not tell how many
        time.sleep(1)
        stopped = end(running)
    produced = sum(stopped["produced"].values()) - 1000
    assert 150 < produced < 1000
    assert stopped["calls"]["/admin/v2/logs/authentication"] == 1


def test_the_receiver_reports_and_writes_what_it_gets(tmp_path):
    options = ("--report-secs", 0.1, "--out", tmp_path / "out")
    with process("pipelines.demo.receiver", *options) as (running, ready):
        with socket.create_connection(("127.0.0.1", ready["port"]), timeout=5) as sock:
            sock.sendall(b'{"txid":"T-1"}\n{"txid":"T-1"}\n15 {"sekey":"S-1"}')
            while json.loads(running.stdout.readline())["messages"] < 3:
                pass
        stopped = end(running)
    assert stopped["log_types"]["auth"] | {"first_at_secs": 0, "last_at_secs": 0, "messages_per_sec": 0} == {
        "messages": 2, "unique": 1, "repeated": 1, "bytes": 28, "first_at_secs": 0, "last_at_secs": 0, "messages_per_sec": 0
    }  # fmt: skip
    assert (tmp_path / "out").read_bytes() == b'{"txid":"T-1"}\n{"txid":"T-1"}\n{"sekey":"S-1"}\n'
