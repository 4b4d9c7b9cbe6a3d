"""Destinations over HTTP and their senders, with waits that tests can afford."""

from __future__ import annotations

import json

from transforms.destinations import KINDS
from transforms.destinations.http.tuning import Tuning
from transforms.formats.json_lines import JsonOptions
from transforms.process.retry import RetryPolicy
from transforms.records import FormattedPage, Stream
from transforms.secrets import SecretRef
from transforms.settings import Destination, Format

STREAM = Stream("acme", "auth", "api-1a2b3c4d.example.com")
FAST = Tuning(
    retrying=RetryPolicy(0.02, 0.1, immediate_first=True),
    slowing=RetryPolicy(0.02, 0.1),
    least_pause_secs=0.02,
    least_bytes=16,
    ack_first_poll_secs=0.02,
    ack_longest_poll_secs=0.1,
    ack_secs=1.0,
)
TIME_MS = 1_795_504_500_123


def http_destination(kind: str, url: str, **changes) -> Destination:
    common = {key: changes.pop(key) for key in ("name", "max_message_bytes", "delivery_timeout_secs") if key in changes}
    common.setdefault("name", f"siem-{url.rpartition(':')[2]}")
    return Destination(settings=KINDS[kind].settings(url=url, **changes), format=Format(JsonOptions()), **common)


def secret(monkeypatch, value: str, name: str = "SIEM_TOKEN") -> SecretRef:
    monkeypatch.setenv(name, value)
    return SecretRef("env", name)


def row(number: int, *, log: str = "auth", pad: int = 60, time_ms: int = TIME_MS, **more) -> bytes:
    """A row of Duo's, with its own id and time; ``pad`` makes it long."""
    seconds, ms = divmod(time_ms + number, 1000)
    times = {"timestamp": seconds, "isotimestamp": _iso(seconds, ms)}
    return json.dumps({"txid": f"tx-{number:08d}", **times, "note": "n" * pad, **more}, separators=(",", ":")).encode()


def rows(count: int, start: int = 0, **more) -> list[bytes]:
    return [row(number, **more) for number in range(start, start + count)]


def page(those: list[bytes], stream: Stream = STREAM) -> FormattedPage:
    """As JSON is written: the message of a row is the row."""
    return FormattedPage(stream, those, those)


def ids(received: list[bytes]) -> list[str]:
    """The ids of rows that arrived, whatever was put around them."""
    return [json.loads(text)["txid"] for text in received]


def _iso(seconds: int, ms: int) -> str:
    import datetime as dt

    return dt.datetime.fromtimestamp(seconds, dt.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S") + f".{ms:03d}000+00:00"
