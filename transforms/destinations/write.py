"""``WriteToSiem``: messages to a SIEM, and a bundle's end only when they are delivered.

Place in the flow: the last of the three public transforms, behind ``ReadFromDuo`` and ``FormatEvents``, or behind a step of
your own that makes a ``FormattedEvent`` of each event.

Contract: everything is delivered in the destination's sense, or becomes a dead letter, before its bundle ends; at least once.
See ``transforms.destinations`` for what *delivered* means of each kind. Metrics: those of docs/metrics.md, and
``lineage:sinks_v2``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, NamedTuple

import apache_beam as beam
from apache_beam.transforms.display import DisplayDataItem
from apache_beam.transforms.window import GlobalWindows

from transforms.coders import messages_of
from transforms.config_keys import Ge, Text
from transforms.destinations.kinds import KINDS
from transforms.destinations.sink import SendToDestination
from transforms.parameters import checked, made
from transforms.settings import Destination, Format, FormatOptions, KindSettings
from transforms.state.dead_letters.letter import DEAD, DeadLetter
from transforms.state.dead_letters.write import WriteDeadLetters


class WriteToSiemResult(NamedTuple):
    """What ``WriteToSiem`` gives.

    Attributes:
      dead_letters: a ``DeadLetter`` for each event that the SIEM refused; they are in ``dead_letter_dir``, too.
    """

    dead_letters: beam.PCollection


class WriteToSiem(beam.PTransform):
    """Sends the message of each ``FormattedEvent``.

    ::

        messages | WriteToSiem("tls", host="siem.example.com", port=6514, dead_letter_dir="/var/lib/duo/dead_letters")

    Args:
      destination: the kind of destination, a key of ``KINDS`` such as ``tls`` or ``hec``; or a whole ``Destination``.
      dead_letter_dir: where events are kept that the SIEM refuses: a directory or a URL of a Beam file system.
      name: your name for the destination; the same that ``ReadFromDuo`` has under ``destination``.
      dead_letter_timeout_secs: for how long a bundle may wait until that directory can be written; None for ever.
      idle_checks: whether to look after connections between bundles here. False where the program does it, which runs the
        pipeline again and again.
      max_message_bytes: longer messages become dead letters; None for no limit of ours.
      delivery_timeout_secs: a bundle that the destination does not take for so long fails and is read again; None for never.
        On Flink and Dataflow a bundle that waits holds up others: give less than the checkpoint timeout there.
      settings: those of the kind: ``host``, ``port``, ``framing``, ``tls`` and others.
    """

    def __init__(
        self,
        destination: str | Destination,
        *,
        dead_letter_dir: str,
        name: str = "siem",
        dead_letter_timeout_secs: float | None = None,
        idle_checks: bool = True,
        max_message_bytes: int | None = None,
        delivery_timeout_secs: float | None = None,
        **settings: Any,
    ) -> None:
        super().__init__()
        if not isinstance(destination, Destination):
            kind, name = checked("WriteToSiem: destination", str, destination), checked("WriteToSiem: name", Text, name)
            longest_bytes = checked("WriteToSiem: max_message_bytes", _LongestBytes, max_message_bytes)
            timeout_secs = checked("WriteToSiem: delivery_timeout_secs", _TimeoutSecs, delivery_timeout_secs)
            destination = Destination(name, _settings(kind, settings), _WRITTEN, longest_bytes, timeout_secs)
        self._destination = destination
        if not dead_letter_dir:
            raise ValueError("WriteToSiem needs dead_letter_dir: give the directory, or the URL, that keeps what is refused.")
        self._dead_letter_dir = checked("WriteToSiem: dead_letter_dir", str, dead_letter_dir)
        self._dead_letter_timeout_secs = checked(
            "WriteToSiem: dead_letter_timeout_secs", _TimeoutSecs, dead_letter_timeout_secs
        )
        self._idle_checks = idle_checks

    def expand(self, messages: beam.PCollection) -> WriteToSiemResult:
        messages = messages_of(messages)
        sink = SendToDestination(self._destination, idle_checks_dir=self._dead_letter_dir if self._idle_checks else None)
        refused = (messages | "Send" >> beam.ParDo(sink).with_outputs(DEAD))[DEAD]
        if not messages.windowing.is_default():
            # The sink looks at no window, because an element in several of them would else be sent for each.
            refused |= "Global" >> beam.WindowInto(GlobalWindows())
        refused.element_type = DeadLetter
        refused | "Keep" >> beam.ParDo(WriteDeadLetters(self._dead_letter_dir, self._dead_letter_timeout_secs))
        return WriteToSiemResult(refused)

    def display_data(self) -> dict[str, Any]:
        destination = self._destination
        return {
            "name": DisplayDataItem(destination.name, label="Destination"),
            "kind": DisplayDataItem(destination.kind, label="Kind"),
            "place": DisplayDataItem(destination.place, label="Place"),
            "dead_letter_dir": DisplayDataItem(self._dead_letter_dir, label="Dead letters"),
        }


@dataclass(frozen=True, slots=True)
class _OwnFormat(FormatOptions):
    """Whatever the steps before have written: dead letters of it name no format."""

    name: ClassVar[str] = ""
    summary: ClassVar[str] = "written by another step"


_WRITTEN = Format(_OwnFormat())
_LongestBytes = Annotated[int, Ge(1)] | None
_TimeoutSecs = Annotated[float, Ge(0.1)] | None


def _settings(kind: str, given: dict[str, Any]) -> KindSettings:
    if kind not in KINDS:
        raise ValueError(f"WriteToSiem: there is no kind of destination {kind!r}. There are {', '.join(KINDS)}.")
    return made(KINDS[kind].settings, given, f"WriteToSiem({kind!r})").completed(_WRITTEN)
