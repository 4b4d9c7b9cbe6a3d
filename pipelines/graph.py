"""The graph: for one log type and destination, read → split → format → send, with dead letters beside.

Place: the one description of the pipeline that every runner gets. Local runs build it for one account, log type and destination
at a time, and in passes; Prism, Flink and Dataflow get one graph with all of them. Chains share no step, so none waits for
another on any runner.

Two rules keep "a finished bundle is a delivered bundle" true, and tests watch both:
  * nothing between reading and sending may break fusion: no GroupByKey, Reshuffle, Flatten, state or side input;
  * labels are state on Flink and Dataflow: they name log type and destination and change only with a migration.
"""

from __future__ import annotations

from dataclasses import replace

import apache_beam as beam

from transforms.coders import SplitPages
from transforms.destinations.sink import SendToDestination
from transforms.duo.fetch.feed import stream_of
from transforms.duo.read import ReadPages
from transforms.duo.source import DuoLogSource, Passes
from transforms.formats.apply import FormatEvents
from transforms.records import Subscription
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
    """Adds the steps of a job to a pipeline: a chain for each destination, and each log type that some route takes to it.

    In this order, because Flink knows the beginnings of chains by their place among all of them: a destination that is added at
    the end of the list leaves the others where they were, and a job goes on from its savepoint.
    """
    log_types = dict.fromkeys(t for account in job.accounts for t in job.log_types_of(account.name))
    for destination in job.destinations:
        for log_type in log_types:
            accounts = [a for a in job.accounts if destination in job.destinations_of(a.name, log_type)]
            if accounts:
                sources = [source_of(job, account, log_type, destination, passes) for account in accounts]
                _chain(pipeline, job, sources, destination)


def source_of(
    job: Job, account: Account, log_type: str, destination: Destination, passes: Passes | None = None
) -> DuoLogSource:
    """What is read of an account for a destination."""
    start = job.start_of(account.name, log_type, destination.name)
    reading = job.reading if start.days is None else replace(job.reading, start_days=start.days)
    return DuoLogSource(log_type, account, destination.name, reading, job.storage, passes, start)


def subscriptions_of(job: Job) -> list[Subscription]:
    """All that a job reads: each log type of each account, for each destination that takes it."""
    return [
        Subscription(stream_of(account, log_type), destination.name)
        for account in job.accounts
        for log_type in job.log_types_of(account.name)
        for destination in job.destinations_of(account.name, log_type)
    ]


def one_subscription(job: Job, account: Account, log_type: str, destination: Destination) -> Job:
    """The part of a job that concerns one log type of one account, and one destination of it."""
    routes = tuple(
        replace(route, log_types=(log_type,), destinations=(destination.name,), accounts=())
        for route in job.routes
        if log_type in route.log_types and destination.name in route.destinations and route.takes(account.name)
    )
    return replace(job, accounts=(account,), destinations=(destination,), routes=routes)


def _chain(pipeline: beam.Pipeline, job: Job, sources: list[DuoLogSource], destination: Destination) -> None:
    endless = sources[0].passes is None
    what = f"{sources[0].log_type} for {destination.name}"
    formatted = (
        pipeline
        | f"Read {what}"
        >> ReadPages(
            sources,
            destination,
            poll_interval=_POLL_SECS,
            max_records_per_bundle=PAGES_PER_BUNDLE,
            max_read_time_seconds=_BUNDLE_SECS,
        )
        | f"Split {what}" >> beam.ParDo(SplitPages())
        | f"Format {what}" >> beam.ParDo(FormatEvents(destination)).with_outputs(DEAD, main=_MAIN)
    )
    caretaker_dir = job.storage.dead_letter_dir if endless else None
    sink = SendToDestination(destination, caretaker_dir=caretaker_dir)
    sent = formatted[_MAIN] | f"Send {what}" >> beam.ParDo(sink).with_outputs(DEAD)
    # Two writers instead of one behind a Flatten: the in-process runner would run that in a later bundle, after the commit.
    # On an endless runner a bundle that waits holds up others; a local pass may wait for as long as it takes.
    keep = WriteDeadLetters(job.storage.dead_letter_dir, destination.delivery_timeout_secs if endless else None)
    formatted[DEAD] | f"Keep unformattable {what}" >> beam.ParDo(keep)
    sent[DEAD] | f"Keep undeliverable {what}" >> beam.ParDo(keep)
