"""Which sources a chain reads on Flink, so that a job that goes on from a savepoint also begins what its new graph has more.

Place in the flow: in front of the step that reads (``transforms.duo.read``), on Flink only; elsewhere ``Create`` does it.

Why: ``Create`` begins with an Impulse, and Flink knows an Impulse by its place among all of a job. With one chain more, a chain
takes the place of another: a new one is never read, because its Impulse is done, or an old one is read twice. So each chain is
begun by Flink's source of endless impulses, which has no state; and what was announced once is kept in a step with a label.
The chains share no step, so each stays a region that Flink starts again alone.

Contract: each source is announced once in the life of a job, savepoints included, and those that the graph got since are
announced within ``_EVERY_MS``. Labels, ``_announced``, its coder and the key are state on Flink.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import apache_beam as beam
import msgspec
from apache_beam.coders import BooleanCoder
from apache_beam.io.flink.flink_streaming_impulse_source import FlinkStreamingImpulseSource
from apache_beam.transforms.userstate import ReadModifyWriteStateSpec

from transforms.duo.source import DuoLogSource

# An impulse costs two bundles of next to nothing; a savepoint that ends the job waits until the next one is due.
_EVERY_MS = 2_000
# A job server that a flag names is taken for Flink's, as the launch does.
_FLINK_RUNNERS = ("FlinkRunner", "PortableRunner")


def runs_on_flink(pipeline: beam.Pipeline) -> bool:
    """Whether a pipeline is made for Flink. By name: the classes need more imports than a local run has."""
    return type(pipeline.runner).__name__ in _FLINK_RUNNERS


class AnnounceSources(beam.PTransform):
    """The sources of a chain, each once, for as long as the job and its savepoints live."""

    def __init__(self, sources: Sequence[DuoLogSource]) -> None:
        super().__init__()
        self._sources = tuple(sources)

    def expand(self, pbegin: beam.pvalue.PBegin) -> beam.PCollection:
        impulses = pbegin | "Impulses" >> FlinkStreamingImpulseSource().set_interval_ms(_EVERY_MS)
        offers = impulses | "Offer" >> beam.ParDo(_Offer(self._sources)).with_output_types(tuple[bytes, DuoLogSource])
        return offers | "Once" >> beam.ParDo(AnnounceOnce()).with_output_types(DuoLogSource)


class _Offer(beam.DoFn):
    """For each impulse all sources of the present graph, each under the key that its announcement is kept by."""

    def __init__(self, sources: tuple[DuoLogSource, ...]) -> None:
        self._offers = [(key_of(source), source) for source in sources]

    def process(self, _impulse: bytes) -> Iterator[tuple[bytes, DuoLogSource]]:
        yield from self._offers


def key_of(source: DuoLogSource) -> bytes:
    """The identity of what is read, for where it goes, as JSON: state is kept by it."""
    return msgspec.json.encode(source.subscription.identity)


class AnnounceOnce(beam.DoFn):
    """Hands on a source that it has not handed on before, by its key."""

    _announced = ReadModifyWriteStateSpec("announced", BooleanCoder())

    def process(
        self,
        offer: tuple[bytes, DuoLogSource],
        announced: Any = beam.DoFn.StateParam(_announced),  # noqa: B008 - as Beam has it
    ) -> Iterator[DuoLogSource]:
        if not announced.read():
            announced.write(True)
            yield offer[1]
