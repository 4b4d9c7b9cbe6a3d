"""The graph: for one log type and destination, ``ReadFromDuo`` → ``FormatEvents`` → ``WriteToSiem``, with ``SelectEvents`` in
front of the format where a route of the log to the destination filters or changes events.

Place: the one description of the pipeline that every runner gets. Local runs build it for one account, log type and destination
at a time, and in passes; Prism, Flink and Dataflow get one graph with all of them. Chains share no step, so none waits for
another on any runner.

All are public: a pipeline of your own is built in the same way. Each but the first writes its own dead letters: the in-process
runner would run one writer behind a Flatten in a later bundle, after the commit.

Two rules keep "a finished bundle is a delivered bundle" true, and tests watch both:
  * nothing between reading and sending may break fusion: no GroupByKey, Reshuffle, Flatten, state or side input;
  * labels are state on Flink and Dataflow: they name log type and destination and change only with a migration.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import apache_beam as beam

from transforms.destinations import WriteToSiem
from transforms.duo import ReadFromDuo
from transforms.duo.fetch.feed import stream_of
from transforms.duo.source import DuoLogSource, Passes
from transforms.events import SelectEvents
from transforms.formats import FormatEvents
from transforms.records import Subscription
from transforms.settings import Account, Destination, Job


def build(pipeline: beam.Pipeline, job: Job, *, passes: Passes | None = None) -> None:
    """Adds the steps of a job to a pipeline: a chain for each destination, and each log type that some route takes to it."""
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
    # On an endless runner a bundle that waits holds up others; a local pass may wait for as long as it takes.
    letters: dict[str, Any] = {
        "dead_letter_dir": job.storage.dead_letter_dir,
        "dead_letter_timeout_secs": destination.delivery_timeout_secs if endless else None,
    }
    events = pipeline | f"Read {what}" >> ReadFromDuo(sources, destination=destination)
    routes = job.selection(sources[0].log_type, destination.name)
    if routes:  # a job whose routes select nothing keeps the steps that it always had
        events |= f"Select {what}" >> SelectEvents(routes=routes, destination=destination.name, **letters)
    _ = (
        events
        | f"Format {what}" >> FormatEvents(destination.format, destination=destination.name, **letters)
        | f"Send {what}" >> WriteToSiem(destination, idle_checks=endless, **letters)
    )
