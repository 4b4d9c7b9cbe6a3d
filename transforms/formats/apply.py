"""``FormatEvents``: events → their messages.

Place in the flow: the second of the three public transforms, between ``ReadFromDuo`` and ``WriteToSiem``, fused with both. An
event that the format cannot write becomes a dead letter with its reason; the stream goes on.

Contract: the order stays. No event fails its bundle here: a bundle that fails is read and sent again, and would fail again, for
ever. So an error that a format does not raise on purpose is a dead letter, too (``format_failed``). It is a bug, and told with
its traceback, once for each place; never with what the error says, which may quote the event. The dead letters of a batch leave
before its messages.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import Any

import apache_beam as beam
from apache_beam.transforms.display import DisplayDataItem

from transforms.coders import DuoEvent, DuoPage, EventBatch, FormattedEvent, MessageBatch, events_of
from transforms.errors import Undeliverable
from transforms.formats.registry import FORMATS, Formatter, format_failed, make_formatter
from transforms.metrics.beam import tell_beam
from transforms.metrics.catalog import EVENTS_REJECTED
from transforms.metrics.registry import METRICS, of_stream
from transforms.notices import events
from transforms.notices.notice import tell
from transforms.parameters import made
from transforms.process.log_once import LogOncePerKey
from transforms.process.places import place_of
from transforms.records import FormattedPage, Subscription
from transforms.settings import Format, SyslogHeader
from transforms.state.dead_letters.letter import DEAD, DeadLetter, DeadLetterBatch, dead_letter
from transforms.state.dead_letters.write import WriteDeadLetters
from transforms.state.ledger.pending import PENDING

_LOGGER = logging.getLogger("duologsync.formats")
_PLACES_TOLD = 20
_NO_HEADER = "none"
_STYLES = ("rfc5424", "rfc3164")


class FormatEvents(beam.PTransform):
    """Writes each ``DuoEvent`` as one line: a ``FormattedEvent``.

    ::

        events | FormatEvents("cef", header="rfc5424", dead_letter_dir="/var/lib/duo/dead_letters")

    Args:
      format: ``json``, ``cef``, ``leef``, ``ecs`` or ``ocsf``; or a whole ``Format``.
      dead_letter_dir: where events are kept that cannot be written: a directory or a URL of a Beam file system.
      destination: the name of the ``WriteToSiem`` that the messages go to; dead letters have it, for their replay.
      header: a syslog header before each message: ``rfc5424``, ``rfc3164``, ``none``, or a mapping with ``style``,
        ``facility``, ``hostname`` and ``app_name``. Without it, the one that is usual with the format.
      dead_letter_timeout_secs: for how long a bundle may wait until that directory can be written; None for ever.
      options: those of the format: ``envelope``, ``profile`` and others.
    """

    def __init__(
        self,
        format: str | Format = "json",  # noqa: A002 - the word that users have for it
        *,
        dead_letter_dir: str,
        destination: str = "siem",
        header: str | Mapping[str, Any] | None = None,
        dead_letter_timeout_secs: float | None = None,
        **options: Any,
    ) -> None:
        super().__init__()
        self._format = format if isinstance(format, Format) else _format(format, header, options)
        if not dead_letter_dir:
            raise ValueError("FormatEvents needs dead_letter_dir: give the directory, or the URL, that keeps odd events.")
        self._dead_letter_dir = dead_letter_dir
        self._dead_letter_timeout_secs = dead_letter_timeout_secs
        self._destination = destination

    def expand(self, events: beam.PCollection) -> beam.PCollection:
        formatting = beam.ParDo(FormatBatches(self._format, self._destination)).with_outputs(DEAD, main="formatted")
        formatted, dead = events_of(events) | "Format" >> formatting
        formatted.element_type, dead.element_type = FormattedEvent, DeadLetter
        dead | "Keep" >> beam.ParDo(WriteDeadLetters(self._dead_letter_dir, self._dead_letter_timeout_secs))
        return formatted

    def display_data(self) -> dict[str, Any]:
        header = self._format.header
        return {
            "format": DisplayDataItem(self._format.name, label="Format"),
            "header": DisplayDataItem(header.style if header else "none", label="Syslog header"),
            "dead_letter_dir": DisplayDataItem(self._dead_letter_dir, label="Dead letters"),
        }


def _format(name: str, header: str | Mapping[str, Any] | None, options: Mapping[str, Any]) -> Format:
    if name not in FORMATS:
        raise ValueError(f"FormatEvents: there is no format {name!r}. There are {', '.join(FORMATS)}.")
    who = f"FormatEvents({name!r})"
    chosen = made(FORMATS[name].options, options, who).completed(of_msp=False)
    fields = {"style": header or chosen.default_header or _NO_HEADER} if header is None or isinstance(header, str) else header
    written = made(SyslogHeader, fields, f"{who}: header")
    if written.style == _NO_HEADER:
        return Format(chosen)
    if written.style not in _STYLES:
        raise ValueError(f"{who}: header: there is no style {written.style!r}. There are {', '.join((*_STYLES, _NO_HEADER))}.")
    return Format(chosen, written)


class FormatBatches(beam.DoFn):
    """EventBatch → MessageBatch; what cannot be written goes to the output ``dead``.

    Args:
      written: the format.
      destination: the name that dead letters have.
    """

    def __init__(self, written: Format, destination: str) -> None:
        self._format = written
        self._destination = destination
        self._formatter: Formatter | None = None
        self._bugs: LogOncePerKey[str] | None = None  # by place
        self._subscriptions: set[Subscription] = set()  # whose events became dead letters in this bundle

    def setup(self) -> None:
        self._formatter = make_formatter(self._format)
        self._bugs = LogOncePerKey(most=_PLACES_TOLD)

    def start_bundle(self) -> None:
        self._subscriptions.clear()

    @beam.DoFn.yields_batches
    def process(self, event: DuoEvent) -> Iterator[Any]:
        yield from self.process_batch(EventBatch.of([event]))

    def process_batch(self, batch: EventBatch) -> Iterator[Any]:
        letters = DeadLetterBatch()
        pages = [self._formatted(page, letters) for page in batch.pages]
        if letters:
            yield beam.pvalue.TaggedOutput(DEAD, letters)
        pages = [page for page in pages if page.messages]
        if pages:
            yield MessageBatch(tuple(pages))

    def finish_bundle(self) -> None:
        tell_beam("send", self._subscriptions)

    def get_input_batch_type(self, input_element_type: Any) -> type:  # noqa: ARG002 - Beam's signature
        return EventBatch

    def get_output_batch_type(self, input_element_type: Any) -> type:  # noqa: ARG002
        return MessageBatch

    def infer_output_type(self, input_type: Any) -> type:  # noqa: ARG002
        return FormattedEvent

    def _formatted(self, page: DuoPage, letters: DeadLetterBatch) -> FormattedPage:
        assert self._formatter is not None
        stream, format_event = page.stream, self._formatter.format
        rows: list[bytes] = []
        messages: list[bytes] = []
        for row in page.rows:
            event = DuoEvent(stream, row)
            try:
                messages.append(format_event(event))
                rows.append(row)
            except Undeliverable as error:
                letters.append(self._dead(event, error))
            except Exception as error:  # see the module
                letters.append(self._dead(event, self._bug(event, error)))
        return FormattedPage(stream, rows, messages)

    def _dead(self, event: DuoEvent, error: Undeliverable) -> DeadLetter:
        subscription = Subscription(event.stream, self._destination)
        self._subscriptions.add(subscription)
        METRICS.add(EVENTS_REJECTED, (*of_stream(subscription), error.reason))
        PENDING.dead(subscription, event.raw)
        return dead_letter(event, self._destination, self._format.name, error.reason, str(error))

    def _bug(self, event: DuoEvent, error: Exception) -> Undeliverable:
        kind = type(error).__name__
        place = place_of(error)
        assert self._bugs is not None
        if self._bugs.due(place) is not None:
            tell(
                _LOGGER, events.FORMAT_BUG,
                "%s: an event could not be written as %s, for a reason that nobody expected (%s). It is a dead letter; the "
                "stream goes on. At %s.",
                event.stream, self._format.name, kind, place, stream=event.stream, destination=self._destination,
            )  # fmt: skip
        return format_failed(error)
