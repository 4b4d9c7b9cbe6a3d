"""``ReadFromDuo``: the logs of Duo accounts as a collection of events.

Place in the flow: the first of the three public transforms; ``transforms.formats`` and ``transforms.destinations`` have the
others. ``pipelines.graph`` is built from them, and so is any pipeline of your own.

Contract: elements are ``DuoEvent``, handed on in batches of a page, in Duo's order within a log, in the global window, with a
timestamp that is never after the event. The position of a log is committed by bundle finalization: what lies between reading
and ``WriteToSiem`` must stay in one fused stage (no GroupByKey, Reshuffle, Flatten, state or side input), so that a bundle that
has finished was delivered. Metrics: ``lineage:sources_v2``, and ``cumulativeThrottlingSeconds`` for the time that a rate limit
of Duo's API holds reading back, which tells a runner that more workers would not help.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import Any

import apache_beam as beam
from apache_beam.pipeline import AppliedPTransform, PipelineVisitor
from apache_beam.transforms.display import DisplayDataItem

from transforms.coders import SplitPages
from transforms.config_keys import Text
from transforms.duo.log_types import DEFAULT_LOG_TYPES, LOG_TYPES
from transforms.duo.read import ReadPages
from transforms.duo.source import DuoLogSource, Passes
from transforms.parameters import checked, made
from transforms.records import DuoEvent, DuoRow
from transforms.settings import Account, Destination, Reading, Storage

# A bundle is what is sent before its delivery is confirmed and committed, and what can repeat after a crash: a few pages are
# enough to keep the connection busy while the confirmation of the last one comes in.
PAGES_PER_BUNDLE = 8
_BUNDLE_SECS = 2.0
_POLL_SECS = 1.0
_ONCE_POLL_SECS = 1.0  # a run that ends reads what is new, however short a time after the one before it


class ReadFromDuo(beam.PTransform):
    """Reads logs of Duo and goes on reading, or ends when all that there is now was read.

    ::

        pipeline | ReadFromDuo("api-xxxxxxxx.duosecurity.com", ikey="DI…", skey="env:DUO_SKEY", checkpoint_dir="/var/lib/duo")

    Args:
      source: the API host of an Admin API application; or sources made elsewhere, of one or more accounts.
      ikey: the application's integration key.
      skey: where its secret key is kept: ``env:NAME``, ``file:PATH`` or ``gcp:projects/…/secrets/…/versions/…``.
      log_types: of ``auth``, ``activity``, ``telephony``, ``trustmonitor``, ``admin`` and ``offline_enrollment``; without it,
        the first four.
      destination: the name of the ``WriteToSiem`` that the events go to: positions are kept by it. A whole ``Destination`` is
        connected to once before anything is read for it.
      checkpoint_dir: where positions are kept for the next launch: a directory or a URL of a Beam file system.
      account: your name for the account; part of every event.
      account_id: of a child account under the Accounts API.
      start_days: how far back a log without a position begins, 0 to 180.
      poll_interval_secs: least time between two looks for new events; without it as often as Duo allows (every 15 to 60),
        or 1 with ``once``.
      lag_secs: how far reading stays behind now; Duo publishes the newest two minutes late.
      overlap_secs: rows that Duo publishes up to so much late are found.
      port, ca_file: of a test server or a private gateway.
      once: end when all that there is now was read: for batch jobs and the in-process runner.
      rows: give rows with a schema (``DuoRow``) instead, as the transforms of Beam YAML need them.
    """

    def __init__(
        self,
        source: str | Sequence[DuoLogSource],
        *,
        ikey: str | None = None,
        skey: str | None = None,
        log_types: Sequence[str] = DEFAULT_LOG_TYPES,
        destination: str | Destination = "siem",
        checkpoint_dir: str | None = None,
        account: str = "duo",
        account_id: str | None = None,
        start_days: float | None = None,
        poll_interval_secs: float | None = None,
        lag_secs: float | None = None,
        overlap_secs: float | None = None,
        port: int | None = None,
        ca_file: str | None = None,
        once: bool = False,
        rows: bool = False,
    ) -> None:
        super().__init__()
        if not isinstance(destination, Destination):
            destination = checked("ReadFromDuo: destination", Text, destination)
        self._destination = destination
        self._rows = rows
        if not isinstance(source, str):
            self._sources = _given(source)
            return
        account = checked("ReadFromDuo: account", Text, account)
        who = {"name": account, "api_host": source, "ikey": ikey, "skey": skey, "account_id": account_id}
        owner = made(Account, {**who, "port": port, "ca_file": ca_file}, "ReadFromDuo")
        if once and poll_interval_secs is None:
            poll_interval_secs = _ONCE_POLL_SECS
        how = {"start_days": start_days, "poll_interval_secs": poll_interval_secs, "lag_secs": lag_secs}
        reading = made(Reading, {**how, "overlap_secs": overlap_secs}, "ReadFromDuo")
        if not 0 <= reading.start_days <= 180:
            raise ValueError("ReadFromDuo: start_days: Duo keeps 180 days; give 0 to 180.")
        if not checkpoint_dir:
            raise ValueError("ReadFromDuo needs checkpoint_dir: give the directory, or the URL, that keeps positions.")
        storage = Storage(checked("ReadFromDuo: checkpoint_dir", str, checkpoint_dir), dead_letter_dir="")
        name = destination if isinstance(destination, str) else destination.name
        passes = Passes(sys.maxsize, caught_up=True) if once else None
        self._sources = tuple(DuoLogSource(log_type, owner, name, reading, storage, passes) for log_type in _known(log_types))

    def expand(self, pbegin: beam.pvalue.PBegin) -> beam.PCollection:
        self._refuse_a_second_reader(pbegin.pipeline)
        pages = pbegin | "Pages" >> ReadPages(
            self._sources,
            self._destination if isinstance(self._destination, Destination) else None,
            poll_interval=_POLL_SECS,
            max_records_per_bundle=PAGES_PER_BUNDLE,
            max_read_time_seconds=_BUNDLE_SECS,
        )
        events = pages | "Split" >> beam.ParDo(SplitPages()).with_output_types(DuoEvent)
        return events | "Rows" >> beam.Map(DuoRow.of).with_output_types(DuoRow) if self._rows else events

    def identities(self) -> Iterator[tuple[str, ...]]:
        """Of the subscriptions that are read."""
        return (source.subscription.identity for source in self._sources)

    def _refuse_a_second_reader(self, pipeline: beam.Pipeline) -> None:
        """A position is one reader's: a second one would find it where the first has left it, and get next to nothing."""
        others = _Readers(self)
        pipeline.visit(others)
        for source in self._sources:
            if source.subscription.identity in others.read:
                raise ValueError(
                    f"ReadFromDuo: {source.log_type} of {source.account.name} is read twice here for destination "
                    f"{source.destination!r}, and positions are kept by its name. Give each ReadFromDuo its own destination, "
                    "the name of the WriteToSiem behind it; or read once, and send that to both."
                )

    def display_data(self) -> dict[str, Any]:
        shown = {
            "accounts": ("Accounts", {source.account.name: source for source in self._sources}),
            "api_hosts": ("API hosts", {source.account.api_host: source for source in self._sources}),
            "log_types": ("Log types", {source.log_type: source for source in self._sources}),
            "destination": ("Destination", {source.destination: source for source in self._sources}),
            "checkpoint_dir": ("Checkpoints", {source.storage.checkpoint_dir: source for source in self._sources}),
        }
        return {key: DisplayDataItem(", ".join(values), label=label) for key, (label, values) in shown.items()}


class _Readers(PipelineVisitor):
    """What is read in a pipeline by others than one transform."""

    def __init__(self, besides: ReadFromDuo) -> None:
        self.read: set[tuple[str, ...]] = set()
        self._besides = besides

    def enter_composite_transform(self, transform_node: AppliedPTransform) -> None:
        reader = transform_node.transform
        if isinstance(reader, ReadFromDuo) and reader is not self._besides:
            self.read.update(reader.identities())


def _given(sources: Sequence[DuoLogSource]) -> tuple[DuoLogSource, ...]:
    given = tuple(sources) if isinstance(sources, (list, tuple)) else ()
    if not given or not all(isinstance(source, DuoLogSource) for source in given):
        raise ValueError("ReadFromDuo: source is an API host, or a list of sources that were made elsewhere.")
    return given


def _known(log_types: Sequence[str]) -> Sequence[str]:
    if not isinstance(log_types, (list, tuple)):
        raise ValueError(f"ReadFromDuo: log_types is a list: write [{log_types!r}].")  # noqa: TRY004 - as of all parameters
    unknown = [name for name in log_types if not isinstance(name, str) or name not in LOG_TYPES]
    if unknown or not log_types:
        given = f"there is no log {unknown[0]!r}" if unknown else "the list is empty"
        raise ValueError(f"ReadFromDuo: log_types: {given}. There are {', '.join(LOG_TYPES)}.")
    return list(dict.fromkeys(log_types))
