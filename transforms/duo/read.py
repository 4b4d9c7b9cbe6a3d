"""The step that reads the sources of one log type and destination: Beam's own, but on streaming runners with two differences.

Place in the flow: the first step of each chain, between ``transforms.duo.source`` and ``SplitPages``; made by the graph.

A reader of its own for each bundle. When a bundle ends, Beam parks the reader for a minute, under the mark that it gave, for a
bundle that goes on from there. Each instance of the step has its own parked readers, and a runner may go on with another
instance: that one makes a new reader, and the parked one stays, with its page and its cursor. That was a hundred megabytes for
busy logs. And when a runner goes back to an older checkpoint, a reader that was parked there is taken up, although the stream
has been read on since. A reader of ours costs nothing to make, because pages and connection live in the feed.

Settings of today. The step holds the sources as the graph that runs has them, and their destination. A source that comes back
from a savepoint is read with these; one that the graph does not have any more is not read, and its position is kept.

Contract: the labels ``Create`` and ``ReadUnbounded`` are those of Beam's transform, and so is the coder of the pages; they are
state on Flink and Dataflow. On Flink ``Announce`` stands for ``Create`` (``transforms.duo.announce``). Each element of the step
is one source, and holds one account: they spread over the workers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import apache_beam as beam
from apache_beam.io import unbounded_source
from apache_beam.io.unbounded_source import UnboundedReader, _ReadFromUnboundedSourceDoFn, _UnboundedSourceRestriction
from apache_beam.io.watermark_estimators import ManualWatermarkEstimator
from apache_beam.transforms import core

from transforms.destinations.probe import connect_once
from transforms.duo.announce import AnnounceSources, runs_on_flink
from transforms.duo.source import DuoLogSource, GoneReader
from transforms.process.allocator import give_memory_back
from transforms.records import DuoPage
from transforms.settings import Destination


class ReadPages(beam.PTransform):
    """The pages of some sources of one log type, all for one destination.

    Args:
      sources: one for each account.
      poll_interval, max_records_per_bundle, max_read_time_seconds: as of Beam's ``ReadFromUnboundedSource``.
    """

    def __init__(
        self,
        sources: Sequence[DuoLogSource],
        destination: Destination | None,
        *,
        poll_interval: float = 1.0,
        max_records_per_bundle: int = 10_000,
        max_read_time_seconds: float = 10.0,
    ) -> None:
        super().__init__()
        self._sources = tuple(sources)
        self._destination = destination
        self._limits = (poll_interval, max_records_per_bundle, max_read_time_seconds)

    def expand(self, pbegin: beam.pvalue.PBegin) -> beam.PCollection:
        in_passes = self._sources[0].passes is not None
        ours = _ReadSources(self._sources, self._destination, *self._limits)
        reading = _ReadFromUnboundedSourceDoFn(*self._limits) if in_passes else ours
        grows = not in_passes and runs_on_flink(pbegin.pipeline)
        sources = pbegin | ("Announce" >> AnnounceSources(self._sources) if grows else "Create" >> beam.Create(self._sources))
        return sources | "ReadUnbounded" >> beam.ParDo(reading).with_output_types(DuoPage)


class _ReadSources(_ReadFromUnboundedSourceDoFn):
    """Beam's, with readers of our own making. Beam offers no other way; its version is pinned, and tests cover this."""

    def __init__(self, sources: tuple[DuoLogSource, ...], destination: Destination | None, *limits: float) -> None:
        super().__init__(*limits)
        self._sources = {source.subscription.identity: source for source in sources}
        self._probe = None if destination is None else partial(connect_once, destination)

    def setup(self) -> None:
        """Makes no place to park readers; Beam then closes a reader with its bundle."""
        give_memory_back()

    @core.DoFn.unbounded_per_element()
    def process(
        self,
        element: DuoLogSource,
        bundle_finalizer: Any = core.DoFn.BundleFinalizerParam,
        tracker: Any = core.DoFn.RestrictionParam(unbounded_source._PROVIDER),  # noqa: B008, SLF001 - as Beam has it
        watermark_estimator: Any = core.DoFn.WatermarkEstimatorParam(ManualWatermarkEstimator.default_provider()),  # noqa: B008
    ) -> Iterator[Any]:
        inner = unbounded_source._unwrap_tracker(tracker)  # noqa: SLF001
        assert inner is not None
        if not inner.current_restriction().is_done:
            inner._reader = self.reader_of(inner.current_restriction())  # noqa: SLF001 - see the class
        yield from super().process(element, bundle_finalizer, tracker, watermark_estimator)

    def reader_of(self, restriction: _UnboundedSourceRestriction) -> UnboundedReader:
        """A reader behind the restriction's mark, with the settings of today."""
        restored = restriction.source
        source = self._sources.get(restored.subscription.identity)
        if source is None:
            return GoneReader(restored, restored.cursor_behind(restriction.checkpoint_mark))
        return source.reader(restriction.checkpoint_mark, self._probe)
