"""Readers that nobody here wrote read what the golden files say, and read it as it was meant."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.formats import cef_reader, golden, oracles, strategies
from transforms.coders import DuoEvent, Stream
from transforms.formats import make_formatter
from transforms.formats.cef import CefOptions
from transforms.settings import Format

_ROWS = golden.rows()


def _golden(row: Path, variant: str) -> bytes:
    return row.with_suffix(f".{variant}").read_bytes().rstrip(b"\n")


def _attacks() -> list[bytes]:
    formatter = make_formatter(Format(CefOptions()))
    rows = ({"user": {"name": a}, "application": {"name": a}, "reason": a, "factor": a} for a in strategies.ATTACKS)
    return [formatter.format(DuoEvent(Stream("acme", "auth"), json.dumps(row).encode())) for row in rows]


@pytest.mark.parametrize("variant", ["standard.cef", "dls.cef"])
@pytest.mark.parametrize("row", _ROWS, ids=lambda row: f"{row.parent.name}-{row.stem}")
def test_vector_reads_cef_as_the_specification_does(row: Path, variant: str) -> None:
    message = _golden(row, variant)
    read = cef_reader.read(message)
    assert oracles.vrl_cef(message) == (read.header, read.extension)


@pytest.mark.servers
def test_liblognorm_reads_cef_as_the_specification_does() -> None:
    messages = [_golden(row, variant) for row in _ROWS for variant in ("standard.cef", "dls.cef")] + _attacks()
    read = [cef_reader.read(message) for message in messages]
    assert oracles.lognorm_cef(messages) == [(r.header, r.extension) for r in read]


@pytest.mark.parametrize("row", _ROWS, ids=lambda row: f"{row.parent.name}-{row.stem}")
def test_vector_finds_a_message_of_each_format_untouched_behind_an_rfc_5424_header(row: Path) -> None:
    bare = {"json": golden.event(row).raw, "cef": _golden(row, "standard.cef")}
    bare |= {name: _golden(row, f"bare.{name}") for name in ("leef", "ecs", "ocsf")}
    for extension, payload in bare.items():
        read = oracles.vrl_syslog(_golden(row, f"rfc5424.{extension}"))
        assert read["message"] == payload.decode()
        assert (read["hostname"], read["appname"], read["msgid"]) == ("beam.example.com", "duologsync", row.parent.name)


@pytest.mark.parametrize("row", _ROWS, ids=lambda row: f"{row.parent.name}-{row.stem}")
def test_vector_finds_json_untouched_and_cef_by_its_tag_behind_an_rfc_3164_header(row: Path) -> None:
    read = oracles.vrl_syslog(_golden(row, "rfc3164.json"))
    assert (read["hostname"], read["appname"], read["message"]) == ("beam", "duo", golden.event(row).raw.decode())
    read = oracles.vrl_syslog(_golden(row, "rfc3164.cef"))
    # Every syslog daemon reads the specification's own style so: the program is "CEF".
    assert f"{read['appname']}:{read['message']}" == _golden(row, "standard.cef").decode()
