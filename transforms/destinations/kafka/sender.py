"""Kafka: one message per record, under the key ``ACCOUNT/LOG``, so that the events of a log stay in order in one partition.

Place in the flow: one of the kinds.

Delivered means: the leader of its partition and all replicas that were in sync have the message, as the delivery report of each
says (``acks=all``; how many replicas that are is the topic's ``min.insync.replicas``). What Kafka acknowledges, consumers can
read, so nothing is kept for a second time.

What can pass, librdkafka tries again by itself, as an idempotent producer, for as long as our own waits allow: its retries
are no repeats, over a restart of the brokers, too. An error that ends such a producer begins a new one, which sends again what
was not confirmed; so does a bundle that is given up (a delivery timeout, a stop, another bundle of the stream). Only then can a
message be there twice. A record has the time at which it was sent, not that of its event: a topic's retention counts from it,
and would throw away at once what is read of the past.

A topic judges batches. One that is too large for it, or that has a message in it that it refuses, says nothing of the others
in it: they are sent again in halves, until only a message that is refused by itself is rejected. Where nothing else than the
size of batches was in the way, later ones are smaller.

Contract: as in ``transforms.destinations.sender``.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer

from transforms.destinations.health import health_of
from transforms.destinations.kafka.client import (
    MOST_MESSAGE_BYTES,
    Meaning,
    bad_destination,
    is_vague,
    meaning_of,
    producer,
    why,
)
from transforms.destinations.kafka.settings import KafkaSettings, topic_of
from transforms.destinations.sender import Confirmation, KeepsNothing, Rejection, oversize
from transforms.destinations.waits import CONNECTING, Waits
from transforms.errors import RetryLater
from transforms.process.clock import SYSTEM_CLOCK
from transforms.process.retry import RetryPolicy
from transforms.records import FormattedPage, Stream
from transforms.settings import Destination
from transforms.state.receipts import READ_AT_ONCE

_LOGGER = logging.getLogger("duologsync.destinations")


@dataclass(frozen=True, slots=True)
class Tuning:
    """Times and sizes that nobody configures; tests shorten them.

    Attributes:
      look_secs: between two looks at whether to go on waiting.
      batch_bytes, least_batch_bytes: how large batches are, and how small they may become where a topic takes no larger ones.
      unknown_topic_secs: a topic that the brokers have not known for so long is not there; after a restart they may not know
        theirs at once.
      believed_secs: a refusal of user, password or certificate is believed after so long: brokers that start refuse, too.
      stalled_secs: brokers that are connected and acknowledge nothing for so long are worth a warning.
      connecting: the pauses before something is sent again.
    """

    look_secs: float = 0.1
    batch_bytes: int = 1_000_000
    least_batch_bytes: int = 16_384
    unknown_topic_secs: float = 30.0
    believed_secs: float = 5.0
    stalled_secs: float = 10.0
    connecting: RetryPolicy = CONNECTING


@dataclass(frozen=True, slots=True)
class _Record:
    """A message on its way."""

    topic: str
    key: bytes
    value: bytes


def make(destination: Destination[KafkaSettings], tuning: Tuning | None = None) -> KafkaSender:
    """A sender that connects when the first message is sent."""
    return KafkaSender(destination, tuning or Tuning())


class KafkaSender(KeepsNothing):
    """A ``Sender`` to Kafka.

    Attributes:
      reconnects: producers that were begun because the one before had failed.
      resent: messages that were handed to a producer once more.
    """

    def __init__(self, destination: Destination[KafkaSettings], tuning: Tuning) -> None:
        self._destination = destination
        self._tuning = tuning
        self._health = health_of(destination)
        self._waits = Waits(destination, tuning.connecting)
        self._most_bytes = min(destination.max_message_bytes or MOST_MESSAGE_BYTES, MOST_MESSAGE_BYTES)
        self._batch_bytes = tuning.batch_bytes
        self._producer: Producer | None = None
        self._number = 0  # of the producer
        self._cause: KafkaError | None = None  # why it cannot connect
        self._fatal: KafkaError | None = None  # why it can send no more
        self._taken = 0  # messages of this bundle
        self._rejected: list[Rejection] = []  # of them
        self._waiting: dict[int, _Record] = {}  # by index: those without a good report
        self._failed: dict[int, KafkaError] = {}  # of those: the ones with a bad one
        self._outgrown = False  # the producer's batches are larger than the topic takes
        self._moved = False
        self.reconnects = 0
        self.resent = 0

    # ---- the contract ----

    def begin(self, owner: Stream | None = None) -> None:  # noqa: ARG002 - nothing is kept that would need an owner
        if self._waiting or self._outgrown:
            self._drop_producer()  # what it has in hand would come beside what is read again
        self._taken = 0
        self._rejected, self._waiting, self._failed = [], {}, {}
        self._waits.begin()

    def send(self, page: FormattedPage) -> None:
        stream = page.stream
        topic = topic_of(self._destination.settings.topic, stream.account, stream.log_type)
        key = str(stream).encode("utf-8", "backslashreplace")
        for index, message in enumerate(page.messages, self._taken):
            self._taken += 1
            if len(message) > self._most_bytes:
                self._rejected.append(oversize(index, len(message), self._destination.name, self._most_bytes))
            else:
                self._hand_over(index, _Record(topic, key, message))
        if self._producer is not None:
            self._producer.poll(0)

    def confirm(self) -> Confirmation:
        delivers = bool(self._waiting)
        while self._waiting:
            self._serve()
            if self._failed or self._fatal is not None:
                self._mend()
        if delivers:
            self._waits.succeeded()
            self._waits.moved()
            self._health.back(0)
            self._health.ever_delivered = True
        return Confirmation(READ_AT_ONCE, tuple(sorted(self._rejected, key=attrgetter("index"))))

    def check(self) -> None:
        if self._producer is not None:
            self._producer.poll(0)

    def close(self, grace_secs: float) -> None:  # noqa: ARG002 - what was not confirmed is read again
        self._drop_producer()

    def interrupt(self) -> None:
        self._waits.interrupt()

    @property
    def waited_secs(self) -> float:
        """How long this bundle has waited for a broker to acknowledge something."""
        return self._waits.waited_secs

    @property
    def connected(self) -> bool:
        return self._producer is not None

    def test_connection(self) -> None:
        """Asks a broker what topics there are. Raises BadDestination or RetryLater.

        That a topic is missing is not told: brokers may make it when it is first written to.
        """
        client = self._made()
        deadline = SYSTEM_CLOCK.monotonic_secs() + self._destination.settings.connect_timeout_secs
        self._cause = None
        while True:
            try:
                client.list_topics(timeout=1.0)
            except KafkaException as error:
                client.poll(0)  # hands over why
                cause = self._cause or error.args[0]
                if meaning_of(cause) is Meaning.PERSON:
                    raise bad_destination(self._destination, cause) from None
                if SYSTEM_CLOCK.monotonic_secs() >= deadline:
                    raise RetryLater(f"{self._destination.name} cannot be reached: {why(cause)}.", kind="network") from None
            else:
                return

    # ---- handing over, and what comes of it ----

    def _hand_over(self, index: int, record: _Record) -> None:
        """Gives a record to the producer; waits while that has no room. What fails is found in ``_failed``."""
        while True:
            client = self._opened()
            try:
                client.produce(record.topic, record.value, record.key, on_delivery=partial(self._reported, self._number, index))
            except BufferError:
                self._serve()
                if self._fatal is None:
                    continue
                self._failed[index] = self._fatal
            except KafkaException as error:
                self._failed[index] = error.args[0]
            self._waiting[index] = record
            return

    def _reported(self, number: int, index: int, error: KafkaError | None, _message: Any) -> None:
        """A delivery report; called while the producer is polled."""
        if number != self._number:
            return  # of one that was given up
        if error is None:
            del self._waiting[index]
            self._moved = True
        else:
            self._failed[index] = error

    def _on_error(self, number: int, error: KafkaError) -> None:
        """Of the producer itself; called while it is polled."""
        if number != self._number:
            return
        if error.fatal():
            self._fatal = error
        elif not is_vague(error) or self._cause is None:
            self._cause = error

    def _serve(self) -> None:
        """Waits a moment for reports. Raises where the wait must end, and BadDestination."""
        self._moved = False
        self._opened().flush(self._tuning.look_secs)
        if self._moved:
            self._cause = None
            if self._waits.moved():
                self._health.back(0)
        else:
            self._waits.watch()
            self._tell()

    def _tell(self) -> None:
        waited_secs, cause = self._waits.waited_secs, self._cause
        if cause is None:
            if waited_secs >= self._tuning.stalled_secs:
                self._health.stalled(f"it acknowledged nothing for {waited_secs:.0f} s")
        elif meaning_of(cause) is not Meaning.PERSON:
            self._health.away(why(cause))
        elif waited_secs >= self._tuning.believed_secs:
            self._wrong(cause)

    def _wrong(self, error: KafkaError) -> None:
        """What only a person can mend ends the program only before anything was ever delivered."""
        bad = bad_destination(self._destination, error)
        if not self._health.ever_delivered:
            raise bad
        self._health.wrong(str(bad))

    # ---- what failed ----

    def _mend(self) -> None:
        """Rejects what failed, or sends it once more."""
        if self._fatal is not None:
            self._begin_anew(self._fatal)
            return
        failed, self._failed = self._failed, {}
        batch = [index for index, error in failed.items() if meaning_of(error).of_the_batch]
        others = [index for index in failed if index not in set(batch)]
        if batch:
            self._narrow_down({index: failed[index] for index in batch})
        if others:
            self._back_off(failed[others[0]])
            self._send_again(others)

    def _narrow_down(self, batch: dict[int, KafkaError]) -> None:
        """Sends the halves of a batch that was refused, until only messages that are refused by themselves are left."""
        too_large, groups = [self._sizes(batch)], _halves(list(batch))
        before = len(self._rejected)
        while groups:
            group = groups.pop()
            refused = self._refused_of(group)
            if len(group) == 1:
                self._rejected += [self._rejection(index, error) for index, error in refused.items()]
            else:
                too_large.append(self._sizes(refused))
                groups += _halves(list(refused))
        rejected = {each.index for each in self._rejected[before:]}
        self._learn([sum(sizes.values()) for sizes in too_large if sizes and not rejected.intersection(sizes)])

    def _sizes(self, refused: dict[int, KafkaError]) -> dict[int, int]:
        """The bytes of each message of a batch that was too large; nothing where it was refused for something else."""
        if not all(meaning_of(error) is Meaning.SIZE for error in refused.values()):
            return {}
        return {index: len(self._waiting[index].value) for index in refused}

    def _refused_of(self, group: list[int]) -> dict[int, KafkaError]:
        """Sends some messages together, and no others; those that were refused once more."""
        self._send_again(group)
        while self._fatal is None and any(index in self._waiting and index not in self._failed for index in group):
            self._serve()
        refused = [i for i in group if i in self._failed and meaning_of(self._failed[i]).of_the_batch]
        return {index: self._failed.pop(index) for index in refused}

    def _rejection(self, index: int, error: KafkaError) -> Rejection:
        record = self._waiting.pop(index)
        if meaning_of(error) is Meaning.SIZE:
            detail = f"The message has {len(record.value)} bytes; topic {record.topic} takes no record of that size."
            return Rejection(index, "oversize", detail)
        return Rejection(index, "rejected", f"Topic {record.topic} refuses it: {why(error)}.")

    def _learn(self, too_large_bytes: list[int]) -> None:
        """Batches of good messages were refused: later ones are smaller."""
        least = min(too_large_bytes, default=self._batch_bytes * 2)
        smaller = max(self._tuning.least_batch_bytes, least // 2)
        if smaller < self._batch_bytes:
            self._batch_bytes = smaller
            self._outgrown = True
            _LOGGER.info(
                "Destination %s: its topic takes no batches of %d bytes; they have %d from now on. Faster would be a larger "
                "max.message.bytes of the topic.", self._destination.name, least, smaller,
            )  # fmt: skip

    def _back_off(self, error: KafkaError) -> None:
        if meaning_of(error) is Meaning.PERSON:
            self._wrong(error)
        else:
            self._health.away(why(error))
        self._waits.back_off()

    def _send_again(self, indices: list[int]) -> None:
        for index in indices:
            self._hand_over(index, self._waiting[index])
        self.resent += len(indices)

    # ---- producers ----

    def _opened(self) -> Producer:
        if self._producer is None:
            self._producer = self._made()
        return self._producer

    def _made(self) -> Producer:
        on_error = partial(self._on_error, self._number)
        return producer(self._destination, on_error, self._batch_bytes, self._tuning.unknown_topic_secs)

    def _begin_anew(self, fatal: KafkaError) -> None:
        """The producer can send no more: another one sends all that was not confirmed."""
        self._drop_producer()
        self._failed = {}
        self._back_off(fatal)
        self.reconnects += 1
        self._send_again(list(self._waiting))

    def _drop_producer(self) -> None:
        """What it has in hand is not sent, as far as it is not on its way."""
        dropped, self._producer = self._producer, None
        self._number += 1
        self._cause = self._fatal = None
        self._outgrown = False
        if dropped is not None:
            dropped.purge()
            dropped.poll(0)


def _halves(group: list[int]) -> list[list[int]]:
    middle = len(group) // 2
    return [half for half in (group[:middle], group[middle:]) if half]
