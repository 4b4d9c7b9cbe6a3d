"""Delivery by requests: what is done about each answer, the same for every receiver.

Place in the flow: ``hec`` and ``generic`` give it a ``Dialect``; the sink hands it messages bundle by bundle.

Events are put together into requests by number and bytes, of one stream each. One request is under way at a time, in order, on
one connection that is kept: a destination has as many connections as bundles go there at once (``pool``), and that is what
makes it fast. An event is kept until its answer says that it was delivered, or never will be:
  * A request that is refused, or too large, is taken apart and its parts are sent, until what is refused is one event: a bad
    event costs itself. Where the receiver says which it was, that one is asked about alone, and believed only then.
  * What is not taken now is sent again, whole, after a pause: the receiver's own where it says how long.
  * A request that gets no answer, or over which the receiver fails (500), several times in a row is sent in halves: it may be
    more than the receiver gets done in time. One event of which that is so waits for the others of its request. If those are
    taken and it goes on, it is a dead letter (``unanswered``). Where there are no others any more, one event that was taken
    before is sent once more, to tell it from a receiver that is away; where none ever was, it is waited for.
  * What only a person can mend stops the program, if nothing was ever delivered there; else it may heal, and is waited for.
  * A receiver that never took anything and refuses one event after another does not refuse events: that is a mistake in the
    configuration, and no dead letters are made of it.

Repeats: a request whose answer does not come (a timeout, a connection cut off) may have been taken. It is sent again, because
nobody can tell; so at most one request repeats for each such trouble, and for each request that is refused, what the receiver
took of it before it came to the bad event. With acknowledgements, all requests of a bundle that are not acknowledged in time.

Contract: as in ``transforms.destinations.sender``.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter

from transforms.destinations.health import health_of
from transforms.destinations.http.acknowledgements import Acknowledgements
from transforms.destinations.http.connection import Answer, HttpConnection, Request, Unanswered
from transforms.destinations.http.dialect import Dialect, Outgoing
from transforms.destinations.http.parts import Entry, Part
from transforms.destinations.http.pieces import Pieces
from transforms.destinations.http.settings import HttpSettings
from transforms.destinations.http.tuning import Tuning
from transforms.destinations.http.verdict import Fate, Verdict
from transforms.destinations.sender import Confirmation, KeepsNothing, Rejection
from transforms.destinations.waits import Waits
from transforms.errors import BadDestination, BundleReplaced, DeliveryTimeout, FatalError, RetryLater
from transforms.process.clock import SYSTEM_CLOCK, Clock
from transforms.process.retry import Backoff
from transforms.records import FormattedPage, Stream
from transforms.settings import Destination
from transforms.state.receipts import READ_AT_ONCE


class HttpSender(KeepsNothing):
    """A ``Sender`` over HTTP.

    Attributes:
      reconnects: connections opened because the one before them was lost.
      resent: events that were sent once more although they may have been taken.
    """

    def __init__(
        self,
        destination: Destination[HttpSettings],
        dialect: Dialect,
        connection: HttpConnection,
        tuning: Tuning,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._destination = destination
        self._dialect = dialect
        self._pieces = Pieces(destination, dialect, clock)
        self._connection = connection
        self._tuning = tuning
        self._clock = clock
        self._health = health_of(destination)
        self._waits = Waits(destination, tuning.retrying, clock)
        self._slow = Backoff(tuning.slowing)
        self._acks = Acknowledgements(tuning)
        self._most_bytes = dialect.most_bytes  # of one request; less where the receiver said that it takes less
        self._calm_bytes = dialect.most_bytes  # the same; less where it gave no answer to more, and more again when it does
        self._answers = 0  # requests of which something was taken
        self._known: Part | None = None  # one event of the last of them
        self._larger_at = tuning.answered_before_larger
        self._taken = 0  # messages of this bundle
        self._rejected: list[Rejection] = []  # of them
        self._refused_at_first = 0  # events in a row that were refused while nothing was ever delivered
        self._renewed = False  # the credentials were fetched anew, and nothing was taken since
        self._lost = False  # the last request had no answer
        self._clear()
        self.reconnects = 0
        self.resent = 0

    def _clear(self) -> None:
        self._stream: Stream | None = None
        self._entries: list[Entry] = []  # of the next request
        self._bytes = 0

    # ---- the contract ----

    def begin(self, owner: Stream | None = None) -> None:  # noqa: ARG002  # each page says whose it is
        self._clear()
        self._acks.forget()
        self._taken = 0
        self._rejected = []
        self._dialect.begin()
        self._waits.begin()

    def send(self, page: FormattedPage) -> None:
        if page.stream != self._stream:
            self._flush()
            self._stream = page.stream
        for row, message in zip(page.rows, page.messages, strict=True):
            self._take(Outgoing(page.stream, row, message))

    def _take(self, event: Outgoing) -> None:
        index = self._taken
        self._taken += 1
        piece = self._pieces.of(index, event)
        if isinstance(piece, Rejection):
            self._rejected.append(piece)
            return
        if self._entries and self._bytes + len(piece) > min(self._most_bytes, self._calm_bytes):
            self._flush()
        self._entries.append(Entry(index, piece))
        self._bytes += len(piece)
        if len(self._entries) >= self._dialect.most_events:
            self._flush()

    def confirm(self) -> Confirmation:
        self._flush()
        self._await_acknowledgements()
        return Confirmation(READ_AT_ONCE, tuple(sorted(self._rejected, key=attrgetter("index"))))

    def check(self) -> None:
        self._connection.tidy()

    def close(self, grace_secs: float) -> None:  # noqa: ARG002  # an answer says all; there is no goodbye to wait for
        self._connection.close()
        self._dialect.close()

    def interrupt(self) -> None:
        self._waits.interrupt()

    @property
    def waited_secs(self) -> float:
        """How long this bundle has waited for the destination to take something."""
        return self._waits.waited_secs

    @property
    def connected(self) -> bool:
        return self._connection.is_open

    def test_connection(self) -> None:
        try:
            self._connection.connect(_do_nothing)
            request = self._dialect.probe(_do_nothing)
            verdict = self._dialect.judge_probe(self._connection.call(request, _do_nothing)) if request is not None else None
        except Unanswered as error:
            raise RetryLater(f"{self._destination.name} cannot be reached: {error}.", kind="network") from error
        if verdict is None or verdict.fate is Fate.DELIVERED:
            return
        if verdict.fate in (Fate.LATER, Fate.TOO_LARGE):
            raise RetryLater(f"{self._destination.name}: {verdict.cause}.", kind="server_error", wait_secs=verdict.wait_secs)
        raise self._bad(verdict)

    # ---- requests ----

    def _flush(self) -> None:
        if self._entries and self._stream is not None:
            part = Part(self._stream, tuple(self._entries))
            self._entries, self._bytes = [], 0
            self._settle(part)

            if len(self._acks) >= self._tuning.most_unacknowledged:
                self._await_acknowledgements()

    def _await_acknowledgements(self) -> None:
        while overdue := self._acks.wait(self._acknowledged, self._waits):
            for part in overdue:
                self._settle(part)

    def _acknowledged(self, ack_ids: Sequence[int]) -> frozenset[int] | None:
        """Which requests are; none of them where that cannot be asked now. None where nothing is known of them any more."""
        try:
            request = self._dialect.acks(ack_ids, self._waits.watch)
            return self._dialect.acknowledged(self._ask(request), ack_ids) if request is not None else None
        except (DeliveryTimeout, BundleReplaced):
            raise
        except (Unanswered, RetryLater):
            return frozenset()
        except FatalError as error:
            self._only_a_person(error)
            return frozenset()

    def _settle(self, part: Part) -> None:
        """Returns when each event is taken or rejected."""
        left = [part]
        while left:
            after = self._attempt(left.pop())
            if len(after) == 1 and after[0].put_off_at == self._answers:
                left = after + left  # the others first
            else:
                left += reversed(after)

    def _attempt(self, part: Part) -> list[Part]:
        """Sends a part once; what is to be sent after that, in order."""
        if len(part.entries) > 1 and part.size_bytes > 2 * self._calm_bytes:
            return part.halves()
        self._wait_for_turn()
        if part.doubtful:
            self.resent += len(part.entries)
        try:
            answer = self._call(part)
        except Unanswered as error:
            if error.sent:
                return self._stuck(part, str(error))
            self._failed(str(error))
            return [part]
        except (DeliveryTimeout, BundleReplaced):
            raise
        except RetryLater as error:  # a token cannot be fetched now
            self._failed(str(error), error.wait_secs)
            return [part]
        except FatalError as error:
            self._only_a_person(error)
            return [part]
        verdict = self._dialect.judge(answer, len(part.entries))
        return self._known_again(part, verdict) if part.known else self._follow(part, verdict)

    def _known_again(self, part: Part, verdict: Verdict) -> list[Part]:
        if verdict.fate is not Fate.DELIVERED or verdict.rejected or verdict.again:
            self._failed(verdict.cause, verdict.wait_secs)
            return []
        self._has_taken(1)
        return self._acks.expect(verdict.ack_id, part) if verdict.ack_id is not None else []

    def _stuck(self, part: Part, cause: str, asked_secs: float | None = None) -> list[Part]:
        """No answer, or the receiver's own failure: that may be because of what is in the part, or how much it is."""
        self._failed(cause, asked_secs)
        if part.known:
            return []
        part = part._replace(doubtful=True, unanswered=part.unanswered + 1)
        if part.unanswered < self._tuning.most_unanswered:
            return [part]
        if len(part.entries) == 1:
            return self._one_stuck(part, cause)
        # It may be more than the receiver gets done in time, or reads of one request: the same again would have the same end.
        self._calm_bytes = max(self._tuning.least_bytes, part.size_bytes // 2)
        self._larger_at = self._answers + self._tuning.answered_before_larger
        return part.halves()

    def _one_stuck(self, part: Part, cause: str) -> list[Part]:
        """Whether it is the event, or the receiver: that it takes others meanwhile tells."""
        if part.put_off_at is None:
            return [part._replace(put_off_at=self._answers, unanswered=0)]
        if part.unanswered < self._tuning.most_unanswered_alone:
            return [part]
        if part.put_off_at == self._answers:
            # No others are left: one that it took before tells, by which that one is there twice.
            return [part] if self._known is None else [self._known, part._replace(unanswered=part.unanswered - 1)]
        entry = part.entries[0]
        detail = f"{self._destination.name} takes others, and not this event, which it may have all the same: {cause}."
        self._rejected.append(Rejection(entry.place, "unanswered", detail))
        return []

    def _call(self, part: Part) -> Answer:
        request = self._dialect.request(part.stream, [entry.piece for entry in part.entries], self._waits.watch)
        return self._ask(request)

    def _ask(self, request: Request) -> Answer:
        opened, lost_before, self._lost = self._connection.opened, self._lost, True
        try:
            answer = self._connection.call(request, self._waits.watch)
        finally:
            self.reconnects += lost_before and self._connection.opened > opened
        self._lost = False
        return answer

    def _follow(self, part: Part, verdict: Verdict) -> list[Part]:
        fate = verdict.fate
        if fate is Fate.DELIVERED:
            return self._delivered(part, verdict)
        if fate is Fate.LATER:
            return self._later(part, verdict)
        if fate in (Fate.REFUSED, Fate.TOO_LARGE):
            return self._refused(part, verdict)
        if fate is Fate.WITHOUT_LEAVE and not self._renewed and self._dialect.renew():
            self._renewed = True
            self._connection.close()  # where it leads may be a secret, too
            return [part]
        self._only_a_person(self._bad(verdict))
        self._renewed = False  # who mends them may need more than one attempt
        return [part]

    def _delivered(self, part: Part, verdict: Verdict) -> list[Part]:
        again = part.only(verdict.again)
        taken = len(part.entries) - len(verdict.rejected) - len(again.entries)
        if taken:
            self._known = part.one_beside({*verdict.rejected, *verdict.again})
        if taken or verdict.in_part:
            self._has_taken(taken if part.doubtful else 0)
        for place, cause in verdict.rejected.items():  # behind that: who takes some of them does not refuse all events
            self._reject(part.entries[place], verdict.reason, cause)
        unsettled = self._acks.expect(verdict.ack_id, part) if verdict.ack_id is not None else []
        if not again.entries:
            self._keep_pace(slow_down=verdict.slow_down)
            return unsettled
        if taken:
            again = again._replace(put_off_at=self._answers - 1)  # others were taken by the side of these
        return [*unsettled, *self._later(again, verdict)]

    def _has_taken(self, repeated: int) -> None:
        self._renewed = False
        self._refused_at_first = 0
        self._health.ever_delivered = True
        self._health.back(repeated)
        self._waits.succeeded()
        self._waits.moved()
        self._answers += 1
        if self._answers >= self._larger_at:
            self._larger_at = self._answers + self._tuning.answered_before_larger
            self._calm_bytes = min(self._calm_bytes * 2, self._dialect.most_bytes)

    def _later(self, part: Part, verdict: Verdict) -> list[Part]:
        pause_secs = verdict.wait_secs or self._tuning.least_pause_secs
        if verdict.failed:
            return self._stuck(part, verdict.cause, pause_secs)
        self._failed(verdict.cause, pause_secs)
        return [part]

    def _keep_pace(self, *, slow_down: bool) -> None:
        if not slow_down:
            self._slow.succeeded()
            return
        end = self._clock.monotonic_secs() + self._slow.failed()
        while (left := end - self._clock.monotonic_secs()) > 0:
            self._waits.watch()
            self._waits.rest(min(left, 0.2))
        self._waits.moved()

    def _refused(self, part: Part, verdict: Verdict) -> list[Part]:
        entries = part.entries
        if len(entries) > 1 and verdict.fate is Fate.TOO_LARGE:
            self._most_bytes = max(self._tuning.least_bytes, part.size_bytes // 2)
            return part.halves()
        if len(entries) > 1:
            known = verdict.culprit is not None and 0 <= verdict.culprit < len(entries)
            return part.around(verdict.culprit or 0) if known else part.halves()
        reason = "oversize" if verdict.fate is Fate.TOO_LARGE else verdict.reason
        self._reject(entries[0], reason, verdict.cause)
        self._waits.moved()
        return []

    def _reject(self, entry: Entry, reason: str, cause: str) -> None:
        self._rejected.append(Rejection(entry.place, reason, f"{self._destination.name} refuses the event: {cause}."))
        if not self._health.ever_delivered:
            self._refused_at_first += 1
            if self._refused_at_first >= self._tuning.most_refused_at_first:
                there = f"Destination {self._destination.name} ({self._destination.place})"
                raise BadDestination(
                    f"{there} has taken nothing so far and refuses every event: {cause}. Compare its kind, address and format "
                    "with what the receiver expects."
                )

    # ---- waiting ----

    def _wait_for_turn(self) -> None:
        self._waits.watch()
        while pause_secs := self._waits.pause_secs:
            self._waits.rest(min(pause_secs, 0.2))
            self._waits.watch()

    def _failed(self, cause: str, asked_secs: float | None = None) -> None:
        self._health.away(cause.rstrip("."))
        self._waits.failed(asked_secs)

    def _only_a_person(self, error: FatalError) -> None:
        """Stops where it never worked; else it may heal."""
        if not self._health.ever_delivered:
            raise error
        self._health.wrong(str(error).rstrip("."))
        self._waits.failed(self._tuning.least_pause_secs)

    def _bad(self, verdict: Verdict) -> BadDestination:
        name, place = self._destination.name, self._destination.place
        return BadDestination(f"Destination {name} ({place}): {verdict.cause}. {verdict.fix}")


def _do_nothing() -> None:
    """A test connection waits for nothing but its own deadlines."""
