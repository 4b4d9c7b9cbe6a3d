"""JSON: Duo's row as it was sent, byte for byte, in one line.

Place in the flow: one of ``FORMATS``. It does not decode the row: this is the fastest format, and the bare one costs next to
nothing.

Contract: see ``transforms.formats``. Refused are rows that are no UTF-8 (``not_utf8``), rows that are no object
(``not_an_object``; told by the braces, the rest is Duo's word) and rows with a control character inside a text (``not_json``).
A row with a line break between two tokens is written without the space between tokens; its texts and numbers stay as they were.
An odd row of Duo's comes here as ``transforms.duo.client.answers`` leaves it, and is written so: control characters as
their escapes, ``NaN`` as a text, but a lone surrogate escape, a key that is there twice and nesting of any depth as they
were sent: those are JSON by its grammar, although not every parser takes them.

With an envelope the row is wrapped: ``{"log_type":"auth","account":"acme","account_id":"DA…","event":ROW}``; ``account_id``
is there for the children of an MSP. With an ``account_key`` instead, the rows of those children get one key more at their end,
``…,"child_account_id":"DA…"}``, as Duo Log Sync wrote it; the row itself is not decoded for that. Should it have that key
already, ours comes later, and nearly every parser takes the last.

With a ``log_key`` the rows stay flat, as content that knows Duo's fields wants them, and say first of which log they are:
``{"duo_log":"auth",…}``. A SIEM can tell them apart by the first bytes of a message, which nothing in a row can change. Should
a row have that key already, its own comes later.

A syslog header has the row's own time and the severity *informational*: a severity per
event would mean to decode each row, which costs more than everything else in this format; ``cef`` has it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar

import msgspec

from transforms.config_keys import Broken, Check, Doc, MinLen, Wrong
from transforms.duo.log_types import LOG_TYPES
from transforms.errors import Undeliverable
from transforms.formats import syslog_header
from transforms.records import DuoEvent, Stream
from transforms.settings import Format, FormatOptions

CHILD_ACCOUNT_KEY = "child_account_id"
"""Where Duo Log Sync, and we after it, put the account of an MSP's child into its rows."""

_JSON_SPACE = b" \t\r\n"
_OPEN_BRACE, _CLOSE_BRACE, _LF, _CR, _NUL = b"{}\n\r\0"


def _wrong_key(value: str) -> Wrong | None:
    if not re.fullmatch(r"[A-Za-z_@][A-Za-z0-9_.@-]{0,63}", value):
        return Wrong("this is not a key that every SIEM takes", "Use at most 64 letters, digits, _, ., @ and -.")
    return None


@dataclass(frozen=True, slots=True)
class JsonOptions(FormatOptions):
    """The event as Duo sent it, in one line.

    Attributes:
      account_key: without envelope only: a key that the rows of an MSP's children get at their end, with the account id.
    """

    name: ClassVar[str] = "json"
    summary: ClassVar[str] = "the event as Duo sent it"
    envelope: Annotated[
        bool | None,
        Doc(
            "Put log type and account around the event. Without it, that is done where events of an MSP's children go to the "
            "destination, because Duo's own events do not say whose they are.",
            example=False,
            elsewhere="only json has an envelope",
        ),
    ] = None
    log_key: Annotated[
        str | None,
        MinLen(1),
        Check(_wrong_key),
        Doc(
            "A key at the front of each row that names its log, so that a SIEM can select by it. Rows of an MSP's children "
            f"then get {CHILD_ACCOUNT_KEY} at their end.",
            example="duo_log",
            elsewhere="only json has such a key; the other formats name the log",
        ),
    ] = None
    account_key: str | None = None

    @classmethod
    def broken_rules(cls, given: Mapping[str, Any]) -> Iterator[Broken]:
        if given.get("envelope") is True and given.get("log_key") is not None:
            yield Broken("log_key", "the envelope names the log already", "Leave out log_key or envelope.")

    def completed(self, *, of_msp: bool) -> JsonOptions:
        # A child's row does not say whose it is. One shape for all events of a destination: its parser has to know it.
        if self.log_key is not None:
            return replace(self, envelope=False, account_key=self.account_key or (CHILD_ACCOUNT_KEY if of_msp else None))
        return self if self.envelope is not None else replace(self, envelope=of_msp)


def make(settings: Format) -> _Bare:
    """A formatter for the chosen options. Called through ``FORMATS``."""
    options = settings.options
    assert isinstance(options, JsonOptions)
    if settings.header is not None:
        return _WithHeader(options, syslog_header.make(settings.header, tagged=True))
    return _payload(options)


def _payload(options: JsonOptions) -> _Bare:
    if options.envelope:
        return _Enveloped()
    return _Marked(options.log_key, options.account_key) if options.log_key or options.account_key else _Bare()


class _Bare:
    def format(self, event: DuoEvent) -> bytes:
        return one_line(event.raw)


class _Enveloped(_Bare):
    def __init__(self) -> None:
        self._last: tuple[Stream | None, bytes] = (None, b"")

    def format(self, event: DuoEvent) -> bytes:
        # The rows of a page share their stream, and a bundle is mostly of one stream: what precedes the row is kept.
        stream, opening = self._last
        if event.stream is not stream:
            opening = _opening(event.stream)
            self._last = (event.stream, opening)
        return b"%b%b}" % (opening, one_line(event.raw))


class _Marked(_Bare):
    """A row with one key more at its front, or a child's row with one more at its end, or both."""

    def __init__(self, log_key: str | None, account_key: str | None) -> None:
        self._log_key = log_key
        self._account_key = account_key
        self._last: tuple[Stream | None, bytes, bytes] = (None, b"", b"")

    def format(self, event: DuoEvent) -> bytes:
        row = one_line(event.raw)
        stream, front, end = self._last
        if event.stream is not stream:
            front, end = _pair(self._log_key, event.stream.log_type), _pair(self._account_key, event.stream.account_id)
            self._last = (event.stream, front, end)
        if not (front or end):
            return row
        inside = row[1:-1]
        if not inside.lstrip(_JSON_SPACE):
            inside = b""
        return b"{%b}" % b",".join([part for part in (front, inside, end) if part])


def _pair(key: str | None, value: str | None) -> bytes:
    return msgspec.json.encode({key: value})[1:-1] if key and value else b""


class _WithHeader(_Bare):
    def __init__(self, options: JsonOptions, header: syslog_header.HeaderWriter) -> None:
        self._payload = _payload(options)
        self._header = header

    def format(self, event: DuoEvent) -> bytes:
        name = event.stream.log_type
        log_type = LOG_TYPES.get(name)
        if log_type is None:
            raise Undeliverable(f"There is no log type {name!r}.", reason="unknown_log_type")
        header = self._header(log_type.row_key(event.raw).time_ms, syslog_header.INFORMATIONAL, name)
        return header.encode() + self._payload.format(event)


def one_line(raw: bytes) -> bytes:
    """The row, checked to be one line of UTF-8 that holds an object. Raises Undeliverable."""
    # To look for one byte, given as a number, is ten times faster here than a pattern or a search for bytes.
    if not (raw and raw[0] == _OPEN_BRACE and raw[-1] == _CLOSE_BRACE):
        raw = _stripped(raw)
    if not raw.isascii():
        _check_utf8(raw)
    return _joined(raw) if _LF in raw or _CR in raw or _NUL in raw else raw


def _stripped(raw: bytes) -> bytes:
    row = raw.strip(_JSON_SPACE)
    if not (row.startswith(b"{") and row.endswith(b"}")):
        raise Undeliverable("The row is not a JSON object.", reason="not_an_object")
    return row


def _check_utf8(raw: bytes) -> None:
    try:
        raw.decode()
    except UnicodeDecodeError:
        raise Undeliverable("The row is not UTF-8.", reason="not_utf8") from None


def _joined(row: bytes) -> bytes:
    try:
        line = msgspec.json.format(row, indent=-1)
    except (msgspec.DecodeError, RecursionError):
        line = row
    if _LF in line or _CR in line or _NUL in line:
        raise Undeliverable("The row is not valid JSON.", reason="not_json")
    return line


def _opening(stream: Stream) -> bytes:
    names = {"log_type": stream.log_type, "account": stream.account}
    if stream.account_id:
        names["account_id"] = stream.account_id
    return msgspec.json.encode(names)[:-1] + b',"event":'
