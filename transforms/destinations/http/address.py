"""Addresses of receivers as users write them.

Place in the flow: the settings check them, the senders take them apart.
"""

from __future__ import annotations

from typing import Annotated, NamedTuple
from urllib.parse import urlsplit

from transforms.config_keys import Check, MinLen, Wrong, wrong_host


class Address(NamedTuple):
    """An address in its parts. ``path``: with a query, if there is one; without a slash at its end."""

    secure: bool
    host: str
    port: int
    path: str

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        usual = self.port == (443 if self.secure else 80)
        return f"{'https' if self.secure else 'http'}://{host}{'' if usual else f':{self.port}'}"


def wrong_url(value: str) -> Wrong | None:
    """What keeps a text from being an address of a receiver."""
    if not value.isascii() or any(c.isspace() or not c.isprintable() for c in value):
        return Wrong("the address holds a character that none has", "Write it again; encode what is not ASCII with %.")
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        return Wrong("this is not an address", "Write https://HOST:PORT/PATH.")
    if parts.scheme not in ("https", "http") or not parts.hostname:
        return Wrong("this is not an address of HTTP", "Write it with https:// and the host's name.")
    if parts.username is not None or parts.password is not None:
        return Wrong("a password is part of the address, which logs show", "Give it by a key of its own.")
    if parts.fragment:
        return Wrong("what follows # is not sent", "Remove it.")
    if port == 0:
        return Wrong("0 is no port", "Write the port that the receiver listens on.")
    return wrong_host(parts.hostname)


def address(url: str) -> Address:
    """An address that ``wrong_url`` has nothing against."""
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    path = parts.path.rstrip("/") + (f"?{parts.query}" if parts.query else "")
    return Address(secure, parts.hostname or "", parts.port or (443 if secure else 80), path)


Url = Annotated[str, MinLen(1), Check(wrong_url)]
