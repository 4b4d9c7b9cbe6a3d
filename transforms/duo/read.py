"""The step that reads a source: Beam's own, but on streaming runners with a reader of its own for each bundle.

Place in the flow: the first step of each log type, between ``transforms.duo.source`` and ``SplitPages``; made by the graph.

Why not Beam's as it is: when a bundle ends, it parks the reader for a minute, under the mark that it gave, for a bundle that
goes on from there. Each instance of the step has its own parked readers, and a runner may go on with another instance: that one
makes a new reader, and the parked one stays, with its page and its cursor. That was a hundred megabytes for busy logs. And when
a runner goes back to an older checkpoint, a reader that was parked there is taken up, although the stream has been read on
since. A reader of ours costs nothing to make, because pages and connection live in the feed.

Contract: the labels ``Create`` and ``ReadUnbounded`` are those of Beam's transform, and so is the coder of the pages; they are
state on Flink and Dataflow.
"""

from __future__ import annotations

import apache_beam as beam
from apache_beam.io.unbounded_source import ReadFromUnboundedSource, _ReadFromUnboundedSourceDoFn

from transforms.coders import DuoPage
from transforms.duo.source import DuoLogSource


class ReadPages(ReadFromUnboundedSource):
    """The pages of a source. Arguments and output are those of Beam's transform."""

    _source: DuoLogSource

    def expand(self, pbegin: beam.pvalue.PBegin) -> beam.PCollection:
        if self._source.passes is not None:
            return super().expand(pbegin)
        return (
            pbegin
            | "Create" >> beam.Create([self._source])
            | "ReadUnbounded"
            >> beam.ParDo(
                _ReaderPerBundle(self._poll_interval, self._max_records_per_bundle, self._max_read_time_seconds)
            ).with_output_types(DuoPage)
        )


class _ReaderPerBundle(_ReadFromUnboundedSourceDoFn):
    """Without the place where Beam parks readers. Beam offers no other way; its version is pinned, and a test covers this."""

    def setup(self) -> None:
        """Makes no such place; Beam then closes a reader with its bundle."""
