"""A receiver that is cut off, in a network namespace of the test's own, so that the real kernel falls silent."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.servers

NAMESPACE = ["unshare", "--net", "--map-root-user"]


def test_a_receiver_that_falls_silent_is_left_and_nothing_is_lost():
    if subprocess.run([*NAMESPACE, "true"], check=False, capture_output=True).returncode:
        pytest.skip("not allowed here: a network namespace of its own (the decision is also tested in tests/destinations)")
    root = Path(__file__).parents[2]
    command = [*NAMESPACE, sys.executable, "-m", "tests.servers.silence"]
    done = subprocess.run(command, cwd=root, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "connections=2\n"
