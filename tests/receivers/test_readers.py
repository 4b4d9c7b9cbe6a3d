"""Readers that nobody here wrote take each message for one event and read what was meant, whoever chose the texts in it."""

from __future__ import annotations

import pytest

from tests.formats import golden
from tests.receivers import parsers, readers
from transforms.formats.cef import PROFILES, CefOptions
from transforms.settings import Format

pytestmark = pytest.mark.servers


@pytest.fixture(scope="module", params=PROFILES)
def cef(request: pytest.FixtureRequest) -> list[bytes]:
    """Every golden row and a few hundred hostile ones."""
    events = [*map(golden.event, golden.rows()), *parsers.hostile_events(400)]
    return parsers.written(Format(CefOptions(profile=request.param)), events)


@pytest.mark.parametrize("name", ["cefp", "liblognorm"])
def test_cef_is_read_as_the_specification_does(name: str, cef: list[bytes]) -> None:
    assert readers.CEF[name](cef) == [parsers.as_cef(message) for message in cef]


def test_graylog_takes_a_user_name_that_holds_a_whole_message_for_a_user_name(cef: list[bytes]) -> None:
    read = readers.CEF["Graylog cef-parser"](cef)
    assert None not in read
    # It does not know an escaped backslash, takes the one of CORP\\nick for a line break, and drops a pipe that ends a line.
    assert [
        (theirs, ours)
        for theirs, ours, message in zip(read, map(parsers.as_cef, cef), cef, strict=True)
        if theirs != ours and rb"\\" not in message and not message.endswith(b"|")
    ] == []


def test_without_the_space_before_its_version_a_message_in_a_text_would_hide_its_event_from_graylog(cef: list[bytes]) -> None:
    forged = [message.replace(b"CEF: 0", b"CEF:0") for message in cef if b" h CEF: 0" in message]
    assert forged
    assert set(readers.CEF["Graylog cef-parser"](forged)) == {None}


def test_pycef_reads_every_message_and_leaves_escapes_as_they_are(cef: list[bytes]) -> None:
    plain = [message for message in cef if b"\\" not in message]
    assert plain
    assert readers.CEF["pycef"](plain) == [parsers.as_pycef(message) for message in plain]
