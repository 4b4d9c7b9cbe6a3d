"""What is sent of an event, or why nothing is.

Place in the flow: ``sender`` puts the pieces together into requests.
"""

from __future__ import annotations

from transforms.destinations.http.dialect import Dialect, Outgoing
from transforms.destinations.http.settings import HttpSettings
from transforms.destinations.sender import Rejection, oversize
from transforms.errors import Undeliverable
from transforms.process.clock import Clock
from transforms.settings import Destination


class Pieces:
    """Those of one destination."""

    def __init__(self, destination: Destination[HttpSettings], dialect: Dialect, clock: Clock) -> None:
        self._destination = destination
        self._dialect = dialect
        self._clock = clock

    def of(self, index: int, event: Outgoing) -> bytes | Rejection:
        """What stands for an event in a request. Args: ``index``: what it is called in a rejection."""
        name, most_bytes = self._destination.name, self._destination.max_message_bytes
        if most_bytes and len(event.message) > most_bytes:
            return oversize(index, len(event.message), name, most_bytes)
        if too_old := self._too_old(index, event):
            return too_old
        try:
            piece = self._dialect.piece(event)
        except Undeliverable as error:
            return Rejection(index, error.reason, str(error))
        most_bytes = self._dialect.most_event_bytes
        if most_bytes and len(piece) > most_bytes:
            return oversize(index, len(piece), name, most_bytes, "event")
        return piece

    def _too_old(self, index: int, event: Outgoing) -> Rejection | None:
        longest_secs = self._destination.settings.refused_age_secs
        if longest_secs is None or (time_ms := event.time_ms) is None:
            return None
        age_secs = self._clock.wall_secs() - time_ms / 1000
        if age_secs <= longest_secs:
            return None
        detail = (
            f"The event is {age_secs / 3600:.1f} h old; {self._destination.name} takes none over {longest_secs / 3600:g} h."
        )
        return Rejection(index, "too_old", detail)
