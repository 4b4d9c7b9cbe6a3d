"""The golden folders: ``tests/golden/LOG_TYPE/NAME.json`` is a row, ``NAME.FORMAT`` beside it is what a format makes of it.

To make them anew after an intended change, by hand and with a look at the difference:

    UPDATE_GOLDEN=1 python -m pytest tests/formats/test_golden.py && git diff tests/golden
"""

from __future__ import annotations

from pathlib import Path

from transforms.coders import DuoEvent, Stream
from transforms.formats.cef import CefOptions
from transforms.formats.ecs import EcsOptions
from transforms.formats.json_lines import JsonOptions
from transforms.formats.leef import LeefOptions
from transforms.formats.ocsf import OcsfOptions
from transforms.settings import Format, SyslogHeader

FOLDER = Path(__file__).parents[1] / "golden"

_RFC5424 = SyslogHeader("rfc5424", hostname="beam.example.com")
_RFC3164 = SyslogHeader("rfc3164", hostname="beam", app_name="duo")
FORMATS = {
    "envelope.json": Format(JsonOptions(envelope=True)),
    "child.json": Format(JsonOptions(account_key="child_account_id")),
    "named.json": Format(JsonOptions(log_key="duo_log", account_key="child_account_id")),
    "rfc5424.json": Format(JsonOptions(), header=_RFC5424),
    "rfc3164.json": Format(JsonOptions(), header=_RFC3164),
    "standard.cef": Format(CefOptions()),
    "dls.cef": Format(CefOptions(profile="dls")),
    "rfc5424.cef": Format(CefOptions(), header=_RFC5424),
    "rfc3164.cef": Format(CefOptions(), header=_RFC3164),
    "bare.leef": Format(LeefOptions()),
    "caret.leef": Format(LeefOptions(delimiter="caret")),
    "rfc5424.leef": Format(LeefOptions(), header=_RFC5424),
    "bare.ecs": Format(EcsOptions()),
    "rfc5424.ecs": Format(EcsOptions(), header=_RFC5424),
    "bare.ocsf": Format(OcsfOptions()),
    "rfc5424.ocsf": Format(OcsfOptions(), header=_RFC5424),
}


def rows() -> list[Path]:
    """The rows of all log types."""
    return sorted(path for path in FOLDER.glob("*/*.json") if "." not in path.stem)


def event(row: Path) -> DuoEvent:
    """A row as an event of an MSP's child."""
    stream = Stream("parent/acme", row.parent.name, "api-abcdef12.duosecurity.com", "DA00000000000000EX99")
    return DuoEvent(stream, row.read_bytes().rstrip(b"\n"))
