"""How events stand in the bodies of requests.

Place in the flow: the dialects make pieces of events, and a body of pieces, by these.
"""

from __future__ import annotations

import msgspec

from transforms.errors import Undeliverable

_check_json = msgspec.json.Decoder(msgspec.Raw).decode


def as_json(message: bytes) -> bytes:
    """A message as a JSON value: itself where it is an object, else a text. Raises Undeliverable."""
    if message[:1] == b"{":
        try:
            _check_json(message)
        except (msgspec.DecodeError, RecursionError):
            pass
        else:
            return message
    return as_text(message)


def as_text(message: bytes) -> bytes:
    """A message as a JSON text. Raises Undeliverable."""
    try:
        return msgspec.json.encode(message.decode())
    except UnicodeDecodeError:
        raise Undeliverable("The message is not UTF-8.", reason="not_utf8") from None
