"""What asks to end is heard at whatever moment it comes."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"} | {"PYTHONPATH": str(ROOT)}

AT_EACH_LINE = """
import sys, threading
from transforms.process import shutdown

PLACES = (threading.__file__, shutdown.__file__)

def asked_at(line):
    flag, left = shutdown.StopFlag(), [line]
    def trace(frame, event, _):
        if frame.f_code.co_filename not in PLACES:
            return None
        if event == "line":
            left[0] -= 1
            if left[0] == 0:
                flag.request(0.0)  # as a signal's handler does, on the thread that waits
        return trace
    sys.settrace(trace)
    try:
        flag.wait(0.001)
    finally:
        sys.settrace(None)
    return left[0] <= 0, flag.requested

line = 1
while (found := asked_at(line))[0]:
    assert found[1]
    line += 1
print(line)
"""

WHILE_A_LINE_IS_WRITTEN = """
import logging
from pipelines import logs
from pipelines.local.supervisor import on_signals

logs.set_up()
logging.getLogger("x").info("what the first line loads is loaded")
on_signals(lambda: print("asked to end", flush=True))
print("ready", flush=True)
input()
logging.getLogger("x").info("a line that nobody takes yet")
print("goes on", flush=True)
"""


def test_a_signal_that_comes_while_the_main_thread_begins_or_ends_to_wait_is_not_waited_for_by_itself():
    done = subprocess.run(
        [sys.executable, "-c", AT_EACH_LINE], env=ENVIRONMENT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 5


def test_a_signal_that_comes_while_stderr_takes_nothing_is_not_lost():
    """A log collector that stands still: the handler's own line cannot be written in the midst of another one."""
    reader, writer = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-c", WHILE_A_LINE_IS_WRITTEN],
        env=ENVIRONMENT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=writer, text=True,
    )  # fmt: skip
    try:
        assert process.stdout.readline() == "ready\n"
        fill(writer)
        process.stdin.write("\n")
        process.stdin.flush()
        until_it_sleeps(process.pid)
        process.send_signal(signal.SIGTERM)
        until_it_sleeps(process.pid)
        os.close(writer)
        while os.read(reader, 65_536):
            pass
        out, _ = process.communicate(timeout=60)
    finally:
        process.kill()
        os.close(reader)
    assert out.splitlines() == ["asked to end", "goes on"]
    assert process.returncode == 0


def fill(writer: int) -> None:
    os.set_blocking(writer, False)
    for size in (65_536, 1):
        with suppress(BlockingIOError):
            while True:
                os.write(writer, b"x" * size)
    os.set_blocking(writer, True)  # for whoever writes at the other side of the fork, too


def until_it_sleeps(pid: int) -> None:
    """Until it waits for something, as far as that can be seen; where not, the signal comes a little early."""
    for _ in range(100):
        time.sleep(0.05)
        if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "S":
            return
