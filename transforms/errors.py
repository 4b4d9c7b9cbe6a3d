"""What can go wrong, grouped by what the caller should do about it.

    DuoLogSyncError
    ├── RetryLater           wait, then do the same again (429, 5xx, network, malformed answer, clock skew)
    │   ├── DeliveryTimeout  a destination stayed away for longer than its delivery timeout: fail the bundle, the runner
    │   │                    reads it again from the checkpoint
    │   └── BundleReplaced   the runner has given this bundle up and begun another one of the same stream: leave it
    ├── StreamUnavailable    this stream only: suspend it and try rarely (403, 404, missing edition)
    ├── Undeliverable        this event only cannot be written: to the dead letters with its reason, and go on
    ├── FatalError             stop: only a person can mend it, and going on would not help
    │   ├── BadCredentials   Duo refused the keys
    │   ├── BadDestination   a destination that can never be reached as configured (wrong CA, wrong name, plain text)
    │   └── BadRoute         a filter, redaction or function that cannot be used here
    └── Stopping             not an error: the program was asked to end and its grace period is over

Texts are for the log and the terminal: they name the thing, the cause and the fix, and never hold a secret or an event. As
whose notice the log shows such a text is said by the class (``notice``), unless who logs it knows better.
"""

from __future__ import annotations

from transforms.notices import destinations, duo, events, program
from transforms.notices.notice import Notice


class DuoLogSyncError(Exception):
    """The base of all errors that this product raises on purpose."""

    notice: Notice = program.FAILED


class RetryLater(DuoLogSyncError):
    """Something passing is in the way.

    Attributes:
      kind: a short stable word for counters (``rate_limited``, ``server_error``, ``network``, ``malformed``, …).
      wait_secs: how long the other side asked to wait; None where it said nothing.
    """

    notice = program.HICCUP

    def __init__(self, message: str, *, kind: str, wait_secs: float | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.wait_secs = wait_secs


class DeliveryTimeout(RetryLater):
    """A destination did not take a bundle within its delivery timeout."""

    notice = destinations.DELIVERY_TIMED_OUT

    def __init__(self, message: str) -> None:
        super().__init__(message, kind="delivery_timeout")


class BundleReplaced(RetryLater):
    """Another bundle of the same stream has the sender now; what this one has not confirmed is that one's to send."""

    def __init__(self, message: str) -> None:
        super().__init__(message, kind="bundle_replaced")


class StreamUnavailable(DuoLogSyncError):
    """Duo will not serve this stream as things are; the others are not touched."""

    notice = duo.NOT_SERVED

    def __init__(self, message: str, *, kind: str) -> None:
        super().__init__(message)
        self.kind = kind


class Undeliverable(DuoLogSyncError):
    """A format can never write one event. What a destination rejects is no error: see ``transforms.destinations.sender``.

    Attributes:
      reason: a short stable word for counters and the dead letter (``not_json``, …).
    """

    def __init__(self, message: str, *, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class FatalError(DuoLogSyncError):
    """Only a person can mend this: the program should say so and end with its own exit code."""


class BadCredentials(FatalError):
    """Duo refused the integration key, the secret key or the signature."""

    notice = duo.KEYS_REFUSED


class BadDestination(FatalError):
    """The destination answers, but never as configured: wrong CA, wrong name, expired, not TLS, client certificate refused."""

    notice = destinations.MISCONFIGURED


class BadRoute(FatalError):
    """A filter, a redaction or a function of a route cannot be used on this machine."""

    notice = events.BAD_ROUTE


class Stopping(DuoLogSyncError):
    """The program is ending and its grace period is over; what was not confirmed is read again at the next start."""
