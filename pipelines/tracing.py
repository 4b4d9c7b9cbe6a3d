"""What a job makes of one row, for each destination, without sending anything.

Place in the flow: ``explain`` shows it to a person, ``test`` compares it with what somebody expects. The same selections and
formats as in the pipeline do the work.

Contract: own functions are called, and keys of redactions are read; a ``Tracer`` raises what the latter raises. Framing and
what else a kind of destination puts around messages is not shown.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from transforms.destinations.sender import oversize
from transforms.duo.log_types import LOG_TYPES
from transforms.errors import Undeliverable
from transforms.events.selection import Failed, Selection, Taken
from transforms.formats import Formatter, format_failed, make_formatter
from transforms.records import DuoEvent, Stream
from transforms.settings import Destination, Job, Route


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one destination gets of a row.

    Attributes:
      messages: what is sent, in order; rows: of each, the row as the format got it.
      route: the index of the route in the job that takes the row; None where none does.
      why_not: what else would have been sent, and why it is not, or why nothing is; one line each.
    """

    destination: Destination
    messages: tuple[bytes, ...] = ()
    rows: tuple[bytes, ...] = ()
    route: int | None = None
    why_not: tuple[str, ...] = ()


class Tracer:
    """Traces rows through a job; used by one thread."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._formatters: dict[str, Formatter] = {}
        self._selections: dict[tuple[Stream, str], Selection] = {}

    def outcomes(self, stream: Stream, row: bytes) -> Iterator[Outcome]:
        """For each destination of the job, what it gets of a row of this stream."""
        for destination in self._job.destinations:
            yield self.outcome(stream, row, destination)

    def outcome(self, stream: Stream, row: bytes, destination: Destination) -> Outcome:
        """What one destination gets."""
        routes = self._routes(stream, destination)
        if not routes:
            return Outcome(destination, why_not=(self._why_no_route(stream, destination),))
        selection = self._selection(stream, destination, tuple(routes.values()))
        verdicts = dict(zip(routes, selection.verdicts(row), strict=True))
        taken = next((index for index, verdict in verdicts.items() if verdict is not Taken.NO), None)
        not_taken = [_why_not_taken(index, routes[index]) for index, verdict in verdicts.items() if verdict is Taken.NO]
        if taken is None:
            return Outcome(destination, why_not=tuple(not_taken))
        unsure = [_why_all_redacted(taken)] if verdicts[taken] is Taken.UNSURE else []
        made = selection.rows_of(row)
        if isinstance(made, Failed):
            return Outcome(destination, route=taken, why_not=(*unsure, _dead(made.error)))
        if not made:
            return Outcome(destination, route=taken, why_not=(*unsure, f"{routes[taken].function} makes no row of it"))
        return self._formatted(stream, destination, made, taken, unsure)

    def _formatted(
        self, stream: Stream, destination: Destination, rows: list[bytes], route: int, why_not: list[str]
    ) -> Outcome:
        kept: list[bytes] = []
        messages: list[bytes] = []
        for row in rows:
            try:
                message = self._message(DuoEvent(stream, row), destination)
            except Undeliverable as error:
                why_not = [*why_not, _dead(error)]
                continue
            kept.append(row)
            messages.append(message)
        return Outcome(destination, tuple(messages), tuple(kept), route, tuple(why_not))

    def _message(self, event: DuoEvent, destination: Destination) -> bytes:
        formatter = self._formatters.get(destination.name)
        if formatter is None:
            formatter = self._formatters[destination.name] = make_formatter(destination.format)
        try:
            message = formatter.format(event)
        except Undeliverable:
            raise
        except Exception as error:  # see transforms.formats.apply
            raise format_failed(error) from error
        longest = destination.max_message_bytes
        if longest is not None and len(message) > longest:
            rejection = oversize(0, len(message), destination.name, longest)
            raise Undeliverable(rejection.detail, reason=rejection.reason)
        return message

    def _routes(self, stream: Stream, destination: Destination) -> dict[int, Route]:
        return {
            index: route
            for index, route in enumerate(self._job.routes)
            if stream.log_type in route.log_types and destination.name in route.destinations and route.takes(stream.account)
        }

    def _selection(self, stream: Stream, destination: Destination, routes: tuple[Route, ...]) -> Selection:
        key = stream, destination.name
        if key not in self._selections:
            self._selections[key] = Selection(routes, stream)
        return self._selections[key]

    def _why_no_route(self, stream: Stream, destination: Destination) -> str:
        of_log = any(stream.log_type in r.log_types and destination.name in r.destinations for r in self._job.routes)
        return (
            f"no route of {stream.log_type} to it is for {stream.account}"
            if of_log
            else f"no route takes {stream.log_type} to it"
        )


def _why_not_taken(index: int, route: Route) -> str:
    return f"the filter of routes.{index} does not take it: {' '.join((route.where or '').split())}"


def _why_all_redacted(index: int) -> str:
    return f"the filter of routes.{index} cannot be applied to it: it is sent, with all redacted that any route redacts"


def _dead(error: Undeliverable) -> str:
    return f"it becomes a dead letter ({error.reason}): {error}"


def log_of(row: bytes) -> str | None:
    """The log that a row is most probably of, by the names of its fields; None where that cannot be said."""
    try:
        fields = json.loads(row)
    except (ValueError, RecursionError):
        return None
    if not isinstance(fields, dict):
        return None
    scores = sorted(((_score(fields, name), name) for name in LOG_TYPES), reverse=True)
    return scores[0][1] if len(scores) == 1 or scores[0][0] > max(scores[1][0], 0) else None


def _score(fields: dict[str, object], log_type: str) -> int:
    known = {path.partition(".")[0] for path in LOG_TYPES[log_type].row_fields}
    has_id = LOG_TYPES[log_type].id_field in fields
    return sum(1 if name in known else -1 for name in fields) + 3 * has_id


def stream_of_row(job: Job, account: str | None, log_type: str) -> list[Stream]:
    """The streams that rows of a log can be of: of one account, or of each that there is."""
    names = {each.name: each for each in job.accounts}
    if account is not None:
        parent = names.get(account.partition("/")[0])
        child = account.partition("/")[2] or None
        return [Stream(account, log_type, parent.api_host, child)] if parent is not None else []
    return [
        Stream(f"{each.name}/CHILD" if each.is_msp else each.name, log_type, each.api_host, "CHILD" if each.is_msp else None)
        for each in job.accounts
    ]
