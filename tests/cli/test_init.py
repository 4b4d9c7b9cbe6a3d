"""``duologsync init``: questions on a real terminal, or flags; a file that ``check`` accepts and with which events arrive."""

import os
import pty
import re
import select
import subprocess
import sys
import time

import pytest
import yaml

from pipelines import cli, exit_codes
from pipelines.config import load
from tests.conftest import IKEY

HOST = "api-1a2b3c4d.duosecurity.com"
FLAGS = ("--yes", "--api-host", HOST, "--ikey", "DIXXXXXXXXXXXXXXXXXX", "--skey", "env:DUO_SKEY")
SIEM = ("--kind", "tls", "--host", "siem.example.com", "--port", "6514")


def run(*words: object) -> int:
    try:
        return cli.main(["init", *map(str, words)])
    except SystemExit as end:
        return int(end.code or 0)


@pytest.fixture
def new(tmp_path):
    return tmp_path / "new.yml"


class TestFlags:
    def test_with_flags_it_asks_nothing_and_writes_what_validate_accepts(self, new, capsys):
        assert run(new, *FLAGS, *SIEM, "--format", "cef", "--log-types", "auth,activity") == exit_codes.OK
        job = load(new, look_at_files=False).job
        assert (job.accounts[0].api_host, str(job.accounts[0].skey)) == (HOST, "env:DUO_SKEY")
        assert (job.destinations[0].place, job.destinations[0].format.name) == ("siem.example.com:6514", "cef")
        assert job.log_types_of("main") == ("auth", "activity")
        assert f"Written: {new}" in capsys.readouterr().out

    def test_what_is_not_said_has_its_default(self, new):
        assert run(new, *FLAGS, *SIEM) == exit_codes.OK
        written = yaml.safe_load(new.read_text())
        assert list(written) == ["version", "accounts", "destinations"]
        assert list(written["destinations"][0]) == ["name", "kind", "host", "port", "format"]

    @pytest.mark.parametrize("kind", ["kafka", "file", "hec"])
    def test_any_kind_can_be_given_with_its_keys(self, new, kind):
        keys = {
            "kafka": ("destinations.0.brokers=a.example.com:9092,b.example.com:9092", "destinations.0.topic=duo"),
            "file": ("destinations.0.path=out.log",),
            "hec": ("destinations.0.url=https://siem.example.com:8088", "destinations.0.token=env:HEC_TOKEN"),
        }[kind]
        assert run(new, *FLAGS, "--kind", kind, *(word for key in keys for word in ("--set", key))) == exit_codes.OK
        assert load(new, look_at_files=False).job.destinations[0].kind == kind

    def test_everything_that_is_wrong_is_told_at_once_with_its_fix_and_nothing_is_written(self, new, capsys):
        words = ("--yes", "--api-host", "https://admin.example.com/x", "--ikey", "DIX", "--kind", "tcp", "--port", "70000")
        assert run(new, *words) == exit_codes.CONFIG
        host, ikey, port = capsys.readouterr().err.splitlines()
        assert host == (
            "accounts.0.api_host: this is an address of a page, not a host. "
            "Write only the host name, without https:// and without a path."
        )
        assert ikey.startswith("accounts.0.ikey: the key has 3 characters. An integration key has 20. ")
        assert port == "destinations.0.port: 70000 is out of range. Use a port from 1 to 65535."
        assert not new.exists()

    def test_what_is_missing_is_told_with_the_flag_that_gives_it(self, new, capsys):
        assert run(new, *FLAGS, "--kind", "hec") == exit_codes.CONFIG
        told = capsys.readouterr().err
        assert "destinations.0.url: is missing." in told
        assert told.endswith("Nothing was written: answer with flags, or --set destinations.0.url=VALUE.\n")

    def test_a_secret_is_never_taken_only_where_it_is_kept(self, new, capsys):
        assert run(new, *FLAGS[:5], "--skey", "s" * 40, *SIEM) == exit_codes.CONFIG
        assert run(new, *FLAGS, "--kind", "hec", "--set", "destinations.0.token=t0k3n") == exit_codes.CONFIG
        out = "".join(capsys.readouterr())
        assert "no secret is written into the file. Write env:NAME or file:PATH, and keep the secret there." in out
        assert "sssss" not in out
        assert "t0k3n" not in out
        assert not new.exists()

    def test_a_file_that_is_there_is_never_written_over(self, new, capsys):
        new.write_text("mine\n")
        assert run(new, *FLAGS, *SIEM) == exit_codes.CONFIG
        assert new.read_text() == "mine\n"
        assert f"{new} is there already, and is not written over." in capsys.readouterr().err

    def test_with_a_credential_of_systemd_it_tells_how_to_try_it(self, new, capsys):
        assert run(new, *FLAGS[:5], "--skey", "systemd", *SIEM) == exit_codes.OK
        out = capsys.readouterr().out
        assert "file:/run/credentials/duologsync.service/skey" in new.read_text()
        assert re.search(
            r"^sudo systemd-run .*LoadCredential=skey:/etc/duologsync/skey .* check .*new\.yml$", out, re.MULTILINE
        )

    def test_without_a_terminal_and_without_yes_it_asks_nobody(self, new):
        command = [sys.executable, "-m", "pipelines", "init", str(new)]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == exit_codes.CONFIG
        assert done.stderr == "init asks questions on a terminal. Without one, give the answers as flags, and --yes.\n"


class Terminal:
    """A program on a terminal of its own, and somebody who reads what it asks."""

    def __init__(self, *words: str) -> None:
        self._fd, its = pty.openpty()
        command = [sys.executable, "-m", "pipelines", *words]
        self._process = subprocess.Popen(command, stdin=its, stdout=its, stderr=its, start_new_session=True)
        os.close(its)
        self.seen = ""

    def answer(self, question: str, reply: str) -> None:
        """Waits for a question, and replies."""
        self._read_until(lambda: question in self.seen)
        self.seen = self.seen[self.seen.index(question) + len(question) :]
        os.write(self._fd, f"{reply}\n".encode())

    def end(self) -> int:
        """Reads to the end; the exit code."""
        self._read_until(lambda: False)
        os.close(self._fd)
        return self._process.wait(60)

    def _read_until(self, there) -> None:
        deadline = time.monotonic() + 60
        while not there():
            assert time.monotonic() < deadline, self.seen
            if select.select([self._fd], [], [], 1.0)[0]:
                try:
                    more = os.read(self._fd, 65536)
                except OSError:  # the program has ended
                    return
                self.seen += more.decode()


def test_who_leaves_in_the_middle_has_written_nothing(new):
    terminal = Terminal("init", str(new))
    terminal.answer("API hostname: ", HOST)
    terminal.answer("Integration key: ", "\x04")
    assert terminal.end() == exit_codes.CONFIG
    assert "Nothing was written." in terminal.seen
    assert not new.exists()


def test_with_check_it_tries_what_it_wrote(simulator, authority, skey, receiver, new, tmp_path, capsys):
    key = tmp_path / "key"
    key.write_text(skey)
    key.chmod(0o600)
    ours = (
        f"accounts.0.port={simulator.port}", f"accounts.0.ca_file={authority.ca_file}",
        f"storage.checkpoint_dir={tmp_path / 'checkpoints'}",
    )  # fmt: skip
    account = ("--api-host", "localhost", "--ikey", IKEY, "--skey", f"file:{key}")
    siem = ("--kind", "tcp", "--host", "127.0.0.1", "--port", receiver.port)
    flags = (word for each in ours for word in ("--set", each))
    assert run(new, "--yes", "--check", *account, *siem, *flags) == exit_codes.OK
    out = capsys.readouterr().out
    assert "main/auth" in out
    assert "FAILED" not in out


def test_a_newcomer_who_answers_has_a_configuration_that_check_accepts_and_with_which_events_arrive(
    simulator, authority, skey, receiver, new, tmp_path, monkeypatch
):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    ours = [
        f"accounts.0.port={simulator.port}", f"accounts.0.ca_file={authority.ca_file}", "reading.lag_secs=0",
        f"storage.checkpoint_dir={tmp_path / 'checkpoints'}",
    ]  # fmt: skip
    terminal = Terminal("init", str(new), *(word for each in ours for word in ("--set", each)))
    terminal.answer("API hostname: ", "https://localhost/")
    terminal.answer("API hostname: ", "localhost")
    terminal.answer("Integration key: ", IKEY)
    terminal.answer("[file]: ", "file")
    terminal.answer("File of the key", str(tmp_path / "key"))
    terminal.answer("is not shown", "too short")
    terminal.answer("is not shown", skey)
    terminal.answer("[tls]: ", "tcp")
    terminal.answer("[json]: ", "")
    terminal.answer("host (", "127.0.0.1")
    terminal.answer("port (", "99999")
    terminal.answer("port (", str(receiver.port))
    terminal.answer("Logs (", "")
    terminal.answer("Try it now", "y")
    assert terminal.end() == exit_codes.OK, terminal.seen

    assert skey not in new.read_text() + terminal.seen
    assert (tmp_path / "key").stat().st_mode & 0o077 == 0
    assert "main/auth" in terminal.seen
    assert "FAILED" not in terminal.seen

    simulator.add("auth", 1)
    process = subprocess.Popen([sys.executable, "-m", "pipelines", "run", str(new)], stderr=subprocess.DEVNULL)
    try:
        assert receiver.wait_for(1, 60)
    finally:
        process.terminate()
        process.wait(60)
