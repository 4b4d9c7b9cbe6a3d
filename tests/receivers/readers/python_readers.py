"""Readers of CEF that are Python packages: pycef, cefp, pourover.

Reads a CEF message a line from standard input and writes a JSON object a line: {"header": {…}, "extension": {…}}, or
{"error": "…"} where the library refuses the message. The argument says which library.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable
from typing import Any

FIELDS = ("vendor", "product", "version", "class_id", "name", "severity")
_PYCEF = ("DeviceVendor", "DeviceProduct", "DeviceVersion", "DeviceEventClassID", "DeviceName", "DeviceSeverity")
_POUROVER = ("device_vendor", "device_product", "device_version", "device_event_class_id", "name", "severity")


def _pycef() -> Callable[[str], dict[str, Any]]:
    parse = importlib.import_module("pycef").parse

    def read(line: str) -> dict[str, Any]:
        fields = dict(parse(line))
        del fields["CEFVersion"]
        header = {ours: fields.pop(theirs) for ours, theirs in zip(FIELDS, _PYCEF, strict=True)}
        for again in ("Name", "Severity"):
            del fields[again]
        return {"header": header, "extension": fields}

    return read


def _cefp() -> Callable[[str], dict[str, Any]]:
    parser = importlib.import_module("cefp").CEFParser

    def read(line: str) -> dict[str, Any]:
        _, *header, extension = parser.split(line)
        return {"header": dict(zip(FIELDS, header, strict=True)), "extension": parser.splitext(extension)}

    return read


def _pourover() -> Callable[[str], dict[str, Any]]:
    parse = importlib.import_module("pourover").parse_line

    def read(line: str) -> dict[str, Any]:
        message = parse(line)
        header = {ours: str(getattr(message, theirs)) for ours, theirs in zip(FIELDS, _POUROVER, strict=True)}
        return {"header": header, "extension": dict(message.extensions)}

    return read


def _answer(read: Callable[[str], dict[str, Any]], line: str) -> dict[str, Any]:
    try:
        return read(line)
    except Exception as error:  # whatever a library makes of a message, the next one has its turn
        return {"error": f"{type(error).__name__}: {error}"}


if __name__ == "__main__":
    reader = {"pycef": _pycef, "cefp": _cefp, "pourover": _pourover}[sys.argv[1]]()
    for each in sys.stdin.buffer.read().decode().split("\n")[:-1]:
        print(json.dumps(_answer(reader, each)))
