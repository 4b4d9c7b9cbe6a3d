"""``docs/receivers.md`` says what is so: its limits are measured, its files are those that the tests load."""

from __future__ import annotations

import re
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import yaml

from pipelines.config import load
from pipelines.config.sample import sample_yaml
from tests.conftest import Authority
from tests.receivers.configured import DOCS, KINDS, RSYSLOG_CEF, Configured
from tests.receivers.test_receivers import LONGEST
from transforms.destinations.stream.settings import TlsSettings

pytestmark = pytest.mark.servers
DOCUMENT = (DOCS.parent / "receivers.md").read_text(encoding="utf-8")
_HEAD = b"<134>1 2026-03-02T08:09:10.045Z beam duologsync - auth - "

# Receiver, transport, what makes of our file the receiver as it comes, the row of the table, longest message that it takes.
AS_IT_COMES = [
    ("rsyslog", "tls", {'maxMessageSize="64k"': ""}, "rsyslog", 8096),
    ("rsyslog", "tcp", {'maxMessageSize="64k"': ""}, "rsyslog", 8096),
    ("rsyslog", "udp", {'maxMessageSize="64k"': ""}, "rsyslog", 8096),
    ("syslog-ng", "tls", {"log-msg-size(65536);": ""}, "syslog-ng", 65536),
    ("syslog-ng", "tcp", {"log-msg-size(65536);": ""}, "syslog-ng", 65536),
    ("otel", "tls", {"max_octets: 65536": ""}, "OTel `syslog`, `octet`", 8192),
]


@pytest.mark.parametrize(("name", "transport", "changes", "row", "longest"), AS_IT_COMES)
def test_a_receiver_as_it_comes_takes_what_the_table_says_and_not_a_byte_more(
    name: str, transport: str, changes: dict[str, str], row: str, longest: int, tmp_path: Path, authority: Authority
) -> None:
    cells = re.search(rf"^\| {re.escape(row)} \| ([\d,]+)[^|]*\|[^|]*\| (\d+) \|", DOCUMENT, re.MULTILINE)
    assert cells is not None
    assert int(cells[1].replace(",", "")) == longest
    assert int(cells[2]) <= longest
    for folder, size, whole in (("fits", longest, True), ("longer", longest + 1, False)):
        (tmp_path / folder).mkdir()
        text = "x" * (size - len(_HEAD))
        with (
            Configured(KINDS[name], tmp_path / folder, authority, changes) as receiver,
            _sent(receiver, transport, authority, _HEAD + text.encode()),
        ):
            assert _arrives(receiver, text, 10 if whole else 2) is whole


@contextmanager
def _sent(receiver: Configured, transport: str, authority: Authority, message: bytes) -> Iterator[None]:
    """Without any sender of ours, which would send it again and again. The connection is open as long as the block runs."""
    there = ("127.0.0.1", receiver.ports[transport])
    with ExitStack() as stack:
        if transport == "udp":
            stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)).sendto(message, there)
        else:
            sock = stack.enter_context(socket.create_connection(there, 5))
            if transport == "tls":
                trust = ssl.create_default_context(cafile=authority.ca_file)
                sock = stack.enter_context(trust.wrap_socket(sock, server_hostname="localhost"))
            sock.sendall(b"%d %s" % (len(message), message) if transport == "tls" else message + b"\n")
        yield


def _arrives(receiver: Configured, text: str, within_secs: float) -> bool:
    deadline = time.monotonic() + within_secs
    while time.monotonic() < deadline:
        if any(event[-1] == text for event in receiver.events()):
            return True
        time.sleep(0.05)
    return False


def test_the_files_are_those_that_the_tests_load() -> None:
    named = {Path(path).name for path in re.findall(r"\]\(receivers/([^)]+)\)", DOCUMENT)}
    assert named == {path.name for path in DOCS.iterdir()} == {kind.config for kind in [*KINDS.values(), RSYSLOG_CEF]}


def test_the_example_is_a_destination_of_ours(tmp_path: Path) -> None:
    example = re.search(r"^```yaml\n(.*?)^```", DOCUMENT, re.MULTILINE | re.DOTALL)
    assert example is not None
    whole = yaml.safe_load(sample_yaml()) | yaml.safe_load(example[1])
    path = tmp_path / "config.yml"
    path.write_text(yaml.safe_dump(whole))
    loaded = load(path, look_at_files=False)
    assert loaded.job is not None, loaded
    (destination,) = loaded.job.destinations
    assert isinstance(destination.settings, TlsSettings)
    assert (destination.max_message_bytes, destination.settings.framing) == (LONGEST, "octet")
