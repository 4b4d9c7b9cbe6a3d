"""How messages follow each other in a byte stream.

Place in the flow: used by ``delivery`` when it joins small messages into one block of complete frames.

Contract: messages hold no line break (the formats see to it). ``split(join(messages)) == messages``.

``lf`` ends each message with a newline (RFC 6587 3.4.2). ``octet`` puts the length in bytes and a blank before it (3.4.1), as
RFC 5425 demands. Receivers do not agree: a wrong choice loses data silently, so it is a setting and never guessed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple


class Framing(NamedTuple):
    """One way to frame: both directions, and what a frame adds at most to its message."""

    join: Callable[[list[bytes]], bytes]
    split: Callable[[bytes], list[bytes]]


def _join_lines(messages: list[bytes]) -> bytes:
    # The empty last item makes join() write the last newline too, without a second copy of the block.
    return b"\n".join([*messages, b""])


def _split_lines(frames: bytes) -> list[bytes]:
    return frames.split(b"\n")[:-1]


def _join_counted(messages: list[bytes]) -> bytes:
    # All lengths are written at once: one message after another, with a copy of each, takes half as long again.
    lengths = tuple(map(len, messages))
    parts = [b""] * (2 * len(messages))
    parts[::2] = (b"%d \n" * len(lengths) % lengths).splitlines()
    parts[1::2] = messages
    return b"".join(parts)


def _split_counted(frames: bytes) -> list[bytes]:
    messages = []
    at = 0
    while at < len(frames):
        blank = frames.index(b" ", at)
        end = blank + 1 + int(frames[at:blank])
        messages.append(frames[blank + 1 : end])
        at = end
    return messages


FRAMINGS: dict[str, Framing] = {
    "lf": Framing(_join_lines, _split_lines),
    "octet": Framing(_join_counted, _split_counted),
}
