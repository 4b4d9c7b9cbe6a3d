"""What becomes of a dead letter's event when it is sent again: no destination gets what its routes redact.

Place in the flow: ``replay`` asks it for every letter, before the format.

Contract: a letter holds the row as the route to its own destination has left it. To any destination it is sent with everything
redacted that a route of its log and account to there redacts; tokens stay as they are. No filter keeps it back: somebody wants
it to be sent. The own function is applied where it has not been: to events of other destinations, and to those that failed
before. A letter that has only a message can be sent where nothing is redacted, and to where it was meant for.
"""

from __future__ import annotations

import msgspec

from transforms.errors import Undeliverable
from transforms.events.redaction import NOT_REDACTABLE
from transforms.events.selection import Failed, Selection
from transforms.records import Stream
from transforms.settings import Job
from transforms.state.dead_letters.letter import DeadLetter


class CannotChange(Undeliverable):
    """The routes to a destination cannot be applied to an event.

    Attributes:
      row: what may be kept of it, for that destination: redacted, or nothing.
    """

    def __init__(self, failed: Failed) -> None:
        super().__init__(str(failed.error), reason=failed.error.reason)
        self.row = failed.row


class Reselection:
    """The selections of all streams and destinations of a job, made as they are needed; used by one thread."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._made: dict[tuple[Stream, str], Selection | None] = {}

    def letters_of(self, letter: DeadLetter, destination: str) -> list[DeadLetter]:
        """The letters that are sent in the place of one: the same but for the row. Raises Undeliverable, and what a
        ``Selection`` raises."""
        selection = self._selection(letter, destination)
        if selection is None:
            return [letter]
        if letter.message:
            return [self._with_message(letter, destination, selection)]
        was_changed = letter.destination == destination and bool(letter.format)
        made = selection.again(letter.raw, was_changed=was_changed)
        if isinstance(made, Failed):
            raise CannotChange(made)
        return [msgspec.structs.replace(letter, raw=row) for row in made]

    def _with_message(self, letter: DeadLetter, destination: str, selection: Selection) -> DeadLetter:
        if letter.destination == destination or not selection.redacts:
            return letter
        raise Undeliverable(
            f"The routes to {destination} redact fields, which cannot be done in a message that was made for "
            f"{letter.destination or 'another destination'}.",
            reason=NOT_REDACTABLE,
        )

    def _selection(self, letter: DeadLetter, destination: str) -> Selection | None:
        key = letter.stream, destination
        if key not in self._made:
            routes = self._job.selection(letter.log_type, destination)
            self._made[key] = Selection(routes, letter.stream) if routes else None
        return self._made[key]
