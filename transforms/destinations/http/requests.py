"""How settings become connections and headers: what the dialects have in common.

Place in the flow: ``hec`` and ``generic`` make their requests with it.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable
from functools import partial

from transforms.destinations.http.address import address
from transforms.destinations.http.connection import Origin, Way
from transforms.destinations.http.credentials import in_header
from transforms.destinations.http.settings import HttpSettings

_GZIP_LEVEL = 3  # half of what the highest level saves, at a fifth of its time


def origin_of(url: str) -> Origin:
    """Where requests to an address go."""
    there = address(url)
    return Origin(there.secure, there.host, there.port)


def way_of(settings: HttpSettings) -> Way:
    """How they get there."""
    proxy = settings.proxy.server if settings.proxy is not None else None
    return Way(settings.tls, proxy, settings.connect_timeout_secs, settings.request_timeout_secs)


def plain_headers(settings: HttpSettings) -> dict[str, str]:
    """The headers that users add."""
    lines = (header.partition(":") for header in settings.headers)
    return {name.strip(): value.strip() for name, _, value in lines}


def secret_headers(settings: HttpSettings) -> dict[str, Callable[[], str]]:
    """Those of them whose values are secrets, and what reads each."""
    return {each.name: partial(in_header, each.secret) for each in settings.secret_headers}


def compressed(body: bytes, headers: dict[str, str]) -> bytes:
    """The body, compressed, and a header that says so."""
    headers["Content-Encoding"] = "gzip"
    return gzip.compress(body, _GZIP_LEVEL, mtime=0)
