"""Names that a tenant of Duo chose for itself, on the terminal of whoever runs this: shown, not obeyed."""

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
from pathlib import Path

from pipelines.demo.simulator import answers

ROOT = Path(__file__).parents[2]
HOSTILE = "Customer\x1b]0;owned\x07\x1b[2J\r\n12:00:00 ERROR   forged\u202e\u2028\x9b31m"
SHOWN = r"Customer\x1b]0;owned\x07\x1b[2J\r\n12:00:00 ERROR   forged\u202e\u2028\x9b31m"


def of_an_msp(config):
    config.write_text(re.sub(r"port: \d+", lambda match: match.group() + ", msp: true", config.read_text(), count=1))
    return config


def on_a_terminal(command: list[str], until: str, number: int = signal.SIGTERM, columns: int = 80) -> str:
    """What a command shows on a terminal of its own up to some words, and until it ends after that."""
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    # The size is the terminal's own: who runs the tests, or what runs them, may have told another one.
    env = {name: value for name, value in os.environ.items() if name not in {"COLUMNS", "LINES"}} | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen([sys.executable, "-m", "pipelines", *command], stdout=its, stderr=its, env=env)
    os.close(its)
    shown = b""
    try:
        while part := _read(ours):
            shown += part
            if until.encode() in shown and process.poll() is None:
                process.send_signal(number)
                until = "\0"  # once is enough
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    return shown.decode("utf-8")


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65_536)
    except OSError:  # the other end was closed
        return b""


def commands_of(shown: str) -> set[str]:
    """Characters that are no text and no line break of the terminal's own."""
    return {character for character in shown.replace("\r\n", "") if not character.isprintable()}


def test_a_run_shows_the_name_of_a_child_and_what_duo_says_of_an_error(config, simulator, monkeypatch):
    simulator.add_child("DA000000000000000001", HOSTILE, "localhost")
    monkeypatch.setitem(answers.MESSAGES, 40301, HOSTILE)
    simulator.faults.add("status", "trustmonitor", status=403, code=40301)
    shown = on_a_terminal(["run", str(of_an_msp(config))], until=SHOWN)
    assert SHOWN in shown
    assert not commands_of(shown)
    assert "\n12:00:00 ERROR   forged" not in shown


def test_a_check_shows_them_in_its_table(config, simulator):
    simulator.add_child("DA000000000000000001", HOSTILE, "localhost")
    shown = on_a_terminal(["check", str(of_an_msp(config))], until="\0")
    assert SHOWN in shown
    assert not commands_of(shown)
