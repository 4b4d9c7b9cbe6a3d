"""What an HTTP answer says about time: when it was made, and how long to wait before the next call.

Place in the flow: read by who calls over HTTP, Duo's client and the senders of ``hec`` and ``http``; the wait goes
into ``RetryPolicy.wait_secs``.
"""

from __future__ import annotations

import email.utils
from email.message import Message

from transforms.process.clock import SYSTEM_CLOCK, Clock

_LONGEST_WAIT_SECS = 3600.0


def retry_after_secs(headers: Message | None, clock: Clock = SYSTEM_CLOCK) -> float | None:
    """Retry-After as seconds, an hour at most; it may be a number or a date, which is reckoned from the answer's own."""
    value = headers.get("Retry-After") if headers is not None else None
    if not value:
        return None
    if value.strip().isascii() and value.strip().isdigit():  # else "²" is a digit, and no number
        return min(float(value), _LONGEST_WAIT_SECS)
    until, now = _moment(value), served_at(headers)
    if until is None:
        return None
    return min(max(0.0, until - (clock.wall_secs() if now is None else now)), _LONGEST_WAIT_SECS)


def served_at(headers: Message | None) -> float | None:
    """When an answer was made, seconds since the epoch, as who made it says."""
    return _moment(headers.get("Date")) if headers is not None else None


def _moment(text: str | None) -> float | None:
    try:
        return email.utils.parsedate_to_datetime(text or "").timestamp()
    except (TypeError, ValueError, OverflowError, IndexError):
        return None
