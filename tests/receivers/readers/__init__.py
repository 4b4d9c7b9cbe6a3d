"""Readers of our formats that nobody here wrote, one function each: messages in, what each was read as out.

Place: used by ``tests.receivers.parsers`` and the tests beside it. Libraries of other languages run in a process of their own.
"""

from __future__ import annotations

import ipaddress
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from tests.formats import oracles
from tests.receivers.configured import from_cache

Read = list[Any]
"""What was read of each message: (header, extension) of CEF, an object of JSON, a dict of a syslog message; None: refused."""
_HERE = Path(__file__).parent


def _lines(command: list[str], messages: list[bytes], env: dict[str, str] | None = None) -> list[dict[str, Any]]:
    done = subprocess.run(
        command, input=b"".join(message + b"\n" for message in messages), capture_output=True, check=True,
        env={**os.environ, **(env or {})},
    )  # fmt: skip
    return [json.loads(line) for line in done.stdout.split(b"\n")[:-1]]


def _folder() -> Path:
    return Path(from_cache("get_readers.sh"))


def _java(library: str, messages: list[bytes]) -> Read:
    command = ["java", "-cp", f"{_folder() / 'java'}/*", str(_HERE / "Readers.java"), library]
    return [_cef(answer) for answer in _lines(command, messages)]


def _nifi(messages: list[bytes]) -> Read:
    """It makes an address of an address, and Java writes those of IPv6 in full."""
    read = _java("parcefone", messages)
    for event in filter(None, read):
        if "c6a2" in event[1]:
            event[1]["c6a2"] = ipaddress.ip_address(event[1]["c6a2"]).compressed
    return read


def _python(library: str, messages: list[bytes]) -> Read:
    command = [sys.executable, str(_HERE / "python_readers.py"), library]
    return [_cef(answer) for answer in _lines(command, messages, {"PYTHONPATH": str(_folder() / "python")})]


def _node(what: str, messages: list[bytes]) -> list[dict[str, Any]]:
    modules = str(_folder() / "node" / "node_modules")
    return _lines(["node", str(_HERE / "node_readers.js"), what], messages, {"NODE_PATH": modules})


def _node_cef(messages: list[bytes]) -> Read:
    return [_cef(answer) for answer in _node("cef", messages)]


def _cef(answer: dict[str, Any]) -> Any:
    return None if "error" in answer else (answer["header"], answer["extension"])


def _each(read: Callable[[bytes], Any], messages: list[bytes]) -> Read:
    return [_or_none(read, message) for message in messages]


def _or_none(read: Callable[[bytes], Any], message: bytes) -> Any:
    try:
        return read(message)
    except AssertionError:
        return None


def _vrl_syslog(message: bytes) -> dict[str, Any]:
    read = oracles.vrl_syslog(message)
    return {name: read.get(name) for name in ("hostname", "appname", "msgid", "message")}


CEF: dict[str, Callable[[list[bytes]], Read]] = {
    "Vector (VRL)": partial(_each, oracles.vrl_cef),
    "Graylog cef-parser": partial(_java, "graylog"),
    "liblognorm": oracles.lognorm_cef,
    "NiFi parcefone": _nifi,
    "cefp": partial(_python, "cefp"),
    "pycef": partial(_python, "pycef"),
    "pourover": partial(_python, "pourover"),
}
SYSLOG: dict[str, Callable[[list[bytes]], Read]] = {"Vector (VRL)": partial(_each, _vrl_syslog)}
JSON: dict[str, Callable[[list[bytes]], Read]] = {"Vector (VRL)": partial(_each, oracles.vrl_json)}
if shutil.which("node"):
    CEF["nsyslog-parser"] = _node_cef
    SYSLOG["nsyslog-parser"] = partial(_node, "syslog")
    JSON["Node"] = partial(_node, "json")
