"""Finds the messages in a byte stream: lines, or counted octets, told apart for every frame as rsyslog does.

Place in the flow: one splitter per connection. Contract: a frame that begins with a digit other than 0 is counted (``LEN SP
MESSAGE``), all others end with LF. Empty lines are no messages. ``pending`` is what has come of a frame that is not complete.
"""

from __future__ import annotations

import re

_COUNT = re.compile(rb"([1-9]\d{0,8}) ")
_PART_OF_COUNT = re.compile(rb"[1-9]\d{0,8}\Z")
_DIGITS = b"123456789"


class FrameSplitter:
    """Bytes in, messages out."""

    def __init__(self) -> None:
        self.pending = b""
        self.errors = 0

    def feed(self, data: bytes) -> list[bytes]:
        """The messages that are complete with these bytes."""
        if self.pending:
            # Only a frame that is still cut is copied again; frames are small against what one call brings.
            data = self.pending + data
        messages: list[bytes] = []
        at = 0
        while at < len(data):
            counted = data[at] in _DIGITS
            end = self._counted(data, at, messages) if counted else _lines(data, at, messages)
            if end is None:
                break
            at = end
        self.pending = data[at:]
        return messages

    def _counted(self, data: bytes, at: int, messages: list[bytes]) -> int | None:
        match = _COUNT.match(data, at)
        if match is None:
            if _PART_OF_COUNT.match(data, at):
                return None
            return self._mistaken(data, at, messages)
        end = match.end() + int(match[1])
        if end > len(data):
            return None
        messages.append(data[match.end() : end])
        return end

    def _mistaken(self, data: bytes, at: int, messages: list[bytes]) -> int | None:
        """A digit, but no count: taken as a line."""
        end = data.find(b"\n", at)
        if end < 0:
            return None
        self.errors += 1
        messages.append(data[at:end])
        return end + 1


def _lines(data: bytes, at: int, messages: list[bytes]) -> int | None:
    """Takes lines up to the last complete one, or up to one that begins with a digit: that is a counted frame."""
    last = data.rfind(b"\n", at)
    if last < 0:
        return None
    lines = data[at:last].split(b"\n")
    for index, line in enumerate(lines):
        if line[:1].isdigit() and line[0] in _DIGITS:
            messages.extend(filter(None, lines[:index]))
            return at + sum(map(len, lines[:index])) + index
    messages.extend(filter(None, lines))
    return last + 1
