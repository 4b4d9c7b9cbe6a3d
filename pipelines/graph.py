"""The graph: for one log type, read → split → format → send, with dead letters beside.

Place: the one description of the pipeline that every runner gets. Local runs build it for one stream at a time and in passes;
Prism, Flink and Dataflow get one graph with all log types.

Two rules keep "a finished bundle is a delivered bundle" true, and tests watch both:
  * nothing between reading and sending may break fusion: no GroupByKey, Reshuffle, Flatten, state or side input;
  * labels are state on Flink and Dataflow: they name log type and destination and change only with a migration.
"""

from __future__ import annotations

from dataclasses import replace

import apache_beam as beam

from transforms.destinations.sink import SendToDestination
from transforms.duo.read import ReadPages
from transforms.duo.source import DuoLogSource, Passes, SplitAndAnnounce
from transforms.formats.apply import FormatEvents
from transforms.settings import Account, Destination, Job
from transforms.state.dead_letters.letter import DEAD
from transforms.state.dead_letters.write import WriteDeadLetters

# A bundle is what is sent before its delivery is confirmed and committed, and what can repeat after a crash: a few pages are
# enough to keep the connection busy while the confirmation of the last one comes in.
PAGES_PER_BUNDLE = 8
_BUNDLE_SECS = 2.0
_POLL_SECS = 1.0
_MAIN = "formatted"


def build(pipeline: beam.Pipeline, job: Job, *, passes: Passes | None = None) -> None:
    """Adds the steps of a job to a pipeline: every log type that some route takes, from every account that it takes it from."""
    log_types = dict.fromkeys(t for account in job.accounts for t in job.log_types_of(account.name))
    for log_type in log_types:
        accounts = tuple(a for a in job.accounts if log_type in job.log_types_of(a.name))
        _build_log_type(pipeline, job, log_type, accounts, passes)


def one_stream(job: Job, account: Account, log_type: str) -> Job:
    """The part of a job that concerns one stream."""
    destinations = job.destinations_of(account.name, log_type)
    routes = tuple(
        replace(route, log_types=(log_type,), accounts=())
        for route in job.routes
        if log_type in route.log_types and route.takes(account.name)
    )
    return replace(job, accounts=(account,), destinations=destinations, routes=routes)


def _build_log_type(
    pipeline: beam.Pipeline, job: Job, log_type: str, accounts: tuple[Account, ...], passes: Passes | None
) -> None:
    source = DuoLogSource(log_type, accounts, job.reading, job.storage, passes)
    destinations = {a.name: tuple(d.name for d in job.destinations_of(a.name, log_type)) for a in accounts}
    events = (
        pipeline
        | f"Read {log_type}"
        >> ReadPages(
            source, poll_interval=_POLL_SECS, max_records_per_bundle=PAGES_PER_BUNDLE, max_read_time_seconds=_BUNDLE_SECS
        )
        | f"Split {log_type}" >> beam.ParDo(SplitAndAnnounce(source, destinations))
    )
    for destination in job.destinations:
        taken = frozenset(a.name for a in accounts if destination in job.destinations_of(a.name, log_type))
        if taken:
            only = None if len(taken) == len(accounts) else taken
            _send(events, job, log_type, destination, only, endless=passes is None)


def _send(
    events: beam.PCollection, job: Job, log_type: str, destination: Destination, only: frozenset[str] | None, *, endless: bool
) -> None:
    what = f"{log_type} for {destination.name}"
    formatted = events | f"Format {what}" >> beam.ParDo(FormatEvents(destination, only)).with_outputs(DEAD, main=_MAIN)
    caretaker_dir = job.storage.dead_letter_dir if endless else None
    sink = SendToDestination(destination, caretaker_dir=caretaker_dir)
    sent = formatted[_MAIN] | f"Send {what}" >> beam.ParDo(sink).with_outputs(DEAD)
    # Two writers instead of one behind a Flatten: the in-process runner would run that in a later bundle, after the commit.
    # On an endless runner a bundle that waits holds up others; a local pass may wait for as long as it takes.
    keep = WriteDeadLetters(job.storage.dead_letter_dir, destination.delivery_timeout_secs if endless else None)
    formatted[DEAD] | f"Keep unformattable {what}" >> beam.ParDo(keep)
    sent[DEAD] | f"Keep undeliverable {what}" >> beam.ParDo(keep)
