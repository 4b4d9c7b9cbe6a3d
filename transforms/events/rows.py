"""Rows as what works on them reads them: fast and only as far as needed, or loosely where a strict reader refuses them.

Place in the flow: filters, redaction and own functions decode a row strictly, and loosely where that fails: somebody who can
choose a user name could else keep an event of theirs from being looked at.

Contract of the loose ways: half a character stays as it was; bytes that are no UTF-8 become U+FFFD; ``NaN`` and the infinities
become texts; what is nested more deeply than any field of Duo's becomes null. Raises ``Undeliverable`` for what is no JSON
object.
"""

from __future__ import annotations

import json
import math
from typing import Any

import msgspec

from transforms.duo.client.loose_json import NotCut, without_depth
from transforms.duo.log_types.decoding import load_object
from transforms.errors import Undeliverable

ODD = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for rows that it does not read."""

_DEEPEST = 20

Fields = dict[str, msgspec.Raw]
"""The fields of a row, each as Duo wrote it; of a name that comes twice the last."""

# Made while importing: see transforms.state.cursor on msgspec and threads.
read_fields = msgspec.json.Decoder(Fields).decode


def read_loosely(raw: bytes) -> dict[str, Any]:
    """The row as a dict."""
    try:
        return load_object(without_depth(raw, _DEEPEST))
    except NotCut:
        raise Undeliverable("The row is not a JSON object.", reason="not_an_object") from None


def write_loosely(row: dict[str, Any]) -> bytes:
    """The dict as a row, in ASCII."""
    return json.dumps(_finite(row), separators=(",", ":")).encode()


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
