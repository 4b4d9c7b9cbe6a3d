"""What the log types share when they put Duo's values into neutral ones: times, addresses, places, ids of event kinds.

Place in the flow: called by ``facts`` and ``row_key`` of each log type, once per event; so the common case is short.

Contract: nothing here raises, whatever a field holds. The time zone of the host never matters.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import re
from functools import lru_cache
from typing import NamedTuple

from transforms.facts import NOWHERE, Place

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.timezone.utc)
_END_MS = 253_402_300_800_000  # the year 10000: later times cannot be written as a date
_SHORTEST_TIME = len("2023-11-14T22:13:20")
# Python 3.10 reads neither "Z" nor fractions of other than 3 or 6 digits, so what it refuses is cut into parts by hand.
_ISO_TIME = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:[.,](\d+))?\s*(?:[Zz]|([+-]\d\d):?(\d\d))?", re.ASCII)

_LONGEST_ADDRESS = 64
_V4 = r"\d{1,3}(?:\.\d{1,3}){3}"
# The ways in which a port is written behind an address. An IPv6 address and ":port" is only told from a longer address
# where it has all its eight groups.
_WITH_PORT = re.compile(
    rf"(?P<v4>{_V4}):\d+|\[(?P<boxed>[^\]]+)\](?::\d+)?|(?P<full>(?:[0-9a-f]+:){{7}}[0-9a-f]+):\d+"
    r"|(?P<v6>[0-9a-f:]*:[0-9a-f:.]*)(?: port |p|#|\.)\d+",
    re.ASCII | re.IGNORECASE,
)

_PORT = re.compile(r"\d*$", re.ASCII)  # none behind "]"
_LAST_PORT = 65535

_NOT_IN_ID = re.compile(r"[^A-Za-z0-9_-]")
_LONGEST_ID_PART = 64


def iso_to_ms(text: str | None) -> int | None:
    """ISO 8601 time → milliseconds since the epoch, cut, not rounded; without an offset taken as UTC. See ``valid_ms``."""
    if text is None or len(text) < _SHORTEST_TIME:
        return None
    try:
        time = dt.datetime.fromisoformat(text)
        if time.tzinfo is None:
            time = time.replace(tzinfo=dt.timezone.utc)
        since = time - _EPOCH
    except (ValueError, OverflowError):
        return _iso_parts_to_ms(text)
    # A time zone can lead out of the years that can be written.
    return valid_ms(since.days * 86_400_000 + since.seconds * 1000 + since.microseconds // 1000)


def _iso_parts_to_ms(text: str) -> int | None:
    parts = _ISO_TIME.fullmatch(text.strip())
    if parts is None:
        return None
    day, clock, fraction, offset_hours, offset_minutes = parts.groups()
    try:
        since = dt.datetime.fromisoformat(f"{day}T{clock}{offset_hours or '+00'}:{offset_minutes or '00'}") - _EPOCH
    except (ValueError, OverflowError):
        return None
    return valid_ms(since.days * 86_400_000 + since.seconds * 1000 + int((fraction or "0").ljust(3, "0")[:3]))


def valid_ms(ms: int | None) -> int | None:
    """Milliseconds since the epoch that are a date between 1970 and 9999, else None."""
    return ms if ms is not None and 0 <= ms < _END_MS else None


class Endpoint(NamedTuple):
    """An address and the port behind it, where one is written."""

    ip: str | None
    port: int | None


_NO_ENDPOINT = Endpoint(None, None)


def ip_address(text: str | None) -> str | None:
    """The address in one of Duo's notations, without its port; None for none, ``0.0.0.0`` and ``::``."""
    return endpoint(text).ip


def endpoint(text: str | None) -> Endpoint:
    """The address in one of Duo's notations and its port; neither for no address, ``0.0.0.0`` and ``::``."""
    if not text or len(text) > _LONGEST_ADDRESS:
        return _NO_ENDPOINT
    return _endpoint(text)


@lru_cache(maxsize=4096)  # the same few addresses appear over and over, and reading one takes longer than the rest of a row
def _endpoint(text: str) -> Endpoint:
    text = text.strip()
    address, port = _plain_address(text), ""
    if address is None and (match := _WITH_PORT.fullmatch(text)):
        address, port = _plain_address(match[match.lastgroup or 0]), _PORT.search(text)[0]  # type: ignore[index]  # it ends in one
    if address is None or address.is_unspecified:
        return _NO_ENDPOINT
    return Endpoint(str(address), int(port) if port and int(port) <= _LAST_PORT else None)


def _plain_address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        return address.ipv4_mapped
    return address


def event_class(*parts: str | None) -> str:
    """Parts → a stable id such as ``auth.authentication.denied``; missing ones at the end are left out, others are "unknown".

    A part cannot pass for two, nor end the header field that the id is written to: all but letters, digits, "_" and "-"
    becomes "_".
    """
    kept = list(parts)
    while len(kept) > 2 and not kept[-1]:
        kept.pop()
    return ".".join(_NOT_IN_ID.sub("_", (part or "unknown")[:_LONGEST_ID_PART]) for part in kept)


def known_place(place: Place | None) -> Place:
    """What Duo knows of a place; where it does not know, it writes "-"."""
    if place is None:
        return NOWHERE
    if place.city != "-" and place.state != "-" and place.country != "-":
        return place
    city, state, country = (None if part == "-" else part for part in (place.city, place.state, place.country))
    return Place(city, state, country) if city or state or country else NOWHERE
