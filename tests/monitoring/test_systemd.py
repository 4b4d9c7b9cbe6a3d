"""What the service manager is told, received on a datagram socket as systemd's own is."""

import os
import socket

import pytest

from pipelines.monitoring import systemd
from pipelines.monitoring.systemd import Notifier


@pytest.fixture(params=["in a directory", "abstract"])
def manager(request, tmp_path, monkeypatch):
    """What systemd listens at."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        if request.param == "abstract":
            name = f"@duologsync-test-{os.getpid()}-{id(sock)}"
            sock.bind(f"\0{name[1:]}")
        else:
            name = str(tmp_path / "notify")
            sock.bind(name)
        sock.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", name)
        monkeypatch.delenv("WATCHDOG_USEC", raising=False)
        yield sock


def heard(manager) -> list[str]:
    """All that has come."""
    manager.setblocking(False)
    messages = []
    try:
        while True:
            messages.append(manager.recv(4096).decode())
    except BlockingIOError:
        return messages


def healthy() -> bool:
    return True


def ailing() -> bool:
    return False


def test_a_run_begins_and_ends(manager):
    notifier = Notifier()
    notifier.ready()
    notifier.stopping()
    first, last = heard(manager)
    assert first == "READY=1"
    assert last.startswith("STOPPING=1\n")


def test_how_it_is_is_said_when_it_changes_and_not_again_and_again(manager, monkeypatch):
    monkeypatch.setattr(systemd, "_STATUS_SECS", 0.0)
    monkeypatch.setattr(systemd, "_COST_TIMES", 0.0)
    notifier = Notifier()
    for words in ("all caught up", "all caught up", "2 of 8 streams need you", "all caught up"):
        notifier.tick(lambda words=words: words, healthy)
    assert heard(manager) == ["STATUS=all caught up", "STATUS=2 of 8 streams need you", "STATUS=all caught up"]


def test_it_is_not_looked_at_more_often_than_it_may_be_said(manager):
    looks = []
    notifier = Notifier()
    for _ in range(100):
        notifier.tick(lambda: str(looks.append(1)), healthy)
    assert len(looks) == 1


def test_a_name_in_the_words_cannot_say_something_else_to_systemd(manager):
    Notifier().tick(lambda: "main\nMAINPID=1\x1b[2J is caught up", healthy)
    (message,) = heard(manager)
    assert "\n" not in message


def test_it_lives_for_as_long_as_it_is_healthy(manager, monkeypatch):
    monkeypatch.setenv("WATCHDOG_USEC", "2")  # microseconds: due each time
    notifier = Notifier()
    for health in (healthy, ailing, ailing, healthy):
        notifier.tick(lambda: "", health)
    assert heard(manager).count("WATCHDOG=1") == 2


def test_it_says_so_twice_within_the_time_that_systemd_gives(manager, monkeypatch):
    monkeypatch.setenv("WATCHDOG_USEC", str(3_600_000_000))
    notifier = Notifier()
    for _ in range(100):
        notifier.tick(lambda: "", healthy)
    assert heard(manager).count("WATCHDOG=1") == 1


@pytest.mark.parametrize("variables", [{"WATCHDOG_USEC": "soon"}, {"WATCHDOG_USEC": "2", "WATCHDOG_PID": "1"}, {}])
def test_where_no_sign_of_life_is_asked_for_none_is_given(manager, monkeypatch, variables):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    Notifier().tick(lambda: "", healthy)
    assert "WATCHDOG=1" not in heard(manager)


@pytest.mark.parametrize("address", ["", "relative", "/nowhere/notify", "vsock:2:1234"])
def test_where_nobody_listens_nothing_happens(monkeypatch, address):
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    notifier = Notifier()
    notifier.ready()
    notifier.tick(lambda: "all caught up", healthy)
    notifier.stopping()
