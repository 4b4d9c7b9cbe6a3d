"""Readers of our messages that nobody here wrote: Vector's (pyvrl) and rsyslog's (liblognorm)."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import pytest

_VRL_HEADER = {
    "deviceVendor": "vendor",
    "deviceProduct": "product",
    "deviceVersion": "version",
    "deviceEventClassId": "class_id",
    "name": "name",
    "severity": "severity",
}
_LOGNORM_HEADER = {
    "DeviceVendor": "vendor",
    "DeviceProduct": "product",
    "DeviceVersion": "version",
    "SignatureID": "class_id",
    "Name": "name",
    "Severity": "severity",
}


@cache
def _program(function: str) -> Any:
    if sys.version_info >= (3, 13):
        pytest.skip("not on Python 3.13 and later: there is no pyvrl for it")
    import pyvrl

    return pyvrl.Transform(f".result, .error = {function}(.message)\n.")


def _vrl(function: str, message: bytes) -> dict[str, Any]:
    answer = _program(function).remap({"message": message.decode()})
    assert answer["error"] is None, answer["error"]
    return answer["result"]


def vrl_cef(message: bytes) -> tuple[dict[str, str], dict[str, str]]:
    """Header and extension as Vector reads them."""
    fields = _vrl("parse_cef", message)
    assert fields.pop("cefVersion") == "0"
    header = {ours: fields.pop(theirs) for theirs, ours in _VRL_HEADER.items()}
    return header, fields


def vrl_syslog(message: bytes) -> dict[str, Any]:
    """A syslog header and its message as Vector reads them."""
    return _vrl("parse_syslog", message)


def vrl_json(message: bytes) -> Any:
    """A JSON text as Vector reads it."""
    return _vrl("parse_json", message)


def lognorm_cef(messages: list[bytes]) -> list[tuple[dict[str, str], dict[str, str]]]:
    """Header and extension of each message as liblognorm reads them.

    It loses the first letter of the first key; that is always ``cnt``, and is put right here.
    """
    binary = shutil.which("lognormalizer")
    assert binary, "lognormalizer is missing: install Debian's package liblognorm-utils."
    lines = b"".join(message + b"\n" for message in messages)
    with tempfile.TemporaryDirectory() as folder:
        rules = Path(folder) / "rules.rb"
        rules.write_text("version=2\nrule=:%f:cef%\n")
        done = subprocess.run([binary, "-r", str(rules), "-e", "json"], input=lines, capture_output=True, check=True)
    return [_lognorm_event(json.loads(line)) for line in done.stdout.decode().splitlines()]


def _lognorm_event(answer: dict[str, Any]) -> tuple[dict[str, str], dict[str, str]]:
    assert "f" in answer, f"liblognorm refuses the line: {answer}"
    fields = answer["f"]
    extension = fields.pop("Extensions")
    extension = {"cnt" if key == "nt" else key: value for key, value in extension.items()}
    return {ours: fields[theirs] for theirs, ours in _LOGNORM_HEADER.items()}, extension
