"""docs/metrics.md, made of the catalog: ``python -m transforms.metrics.document > docs/metrics.md``.

Place in the flow: beside the catalog; a test compares the committed file. Contract: pure text, the same each time.
"""

from __future__ import annotations

import sys

from transforms.metrics.catalog import CATALOG, LATENCY_BUCKETS_SECS, LOG, STREAM, Metric

_HEAD = """\
# Metrics

<!-- Made of transforms/metrics/catalog.py: python -m transforms.metrics.document > docs/metrics.md -->

A local run serves them at `/metrics` of its monitoring port, in Prometheus' text format or, where that is asked for, as
OpenMetrics. On every runner most of them are Beam metrics, too. Names and labels are an interface: alerts and dashboards can
rely on them.

The labels `account`, `log_type` and `destination` are the names in the configuration; a child account of an MSP is
`PARENT/CHILD_ID`. Times are seconds since 1970 in UTC. Counters begin at 0 with the program.

| name | kind | labels | what it says | what to do with it |
|---|---|---|---|---|
"""

_TAIL = """
## How the latency is measured

Looking into each event would cost as much as sending it. Of each page, which is one answer of Duo with up to 1,000 events in
their order, the first, the middle and the last event are looked at, and stand for a quarter, a half and a quarter of its
events. So the histogram's count is the number of events that were sent and confirmed, those that were rejected among them
included, and its quantiles are those of the events as far as they are spread evenly over the time of their page. A page of up
to three events is exact. The latency begins with the event's own time and the lag that Duo itself needs to show it
(`reading.lag_secs`), and ends with the confirmation of the bundle. Where an event that is looked at has no time, its share is
left out; one from the future counts as 0. Upper bounds of the buckets, in seconds: {buckets}.

## What `duologsync_reading_notes_total` counts

| `what` | what was met |
|---|---|
{notes}

Any other value is the kind of an error, as it stands in the log.

## How many series there are

About {per_stream} for each stream and destination, {latency} of them buckets of the latency, and about 15 for each destination.
An MSP with 1,000 children, four logs and one destination has 4,000 streams, so {msp:,} series and an answer of some {msp_mb}
MB, which takes a second or two of CPU. Prometheus takes that; scrape it every minute or more rarely then, and drop what you do
not use by `metric_relabel_configs` (the latency's buckets are a third of it). Nothing else grows: reasons and outcomes come
from lists in the code, and names of fields that this release does not know are counted, not shown.

## Beam's metrics

The namespace is `duologsync`. A name is the one above without `duologsync_` and `_total`. Labels beyond those of the stream are
appended: `dead_letters_oversize`, `duo_calls_ok`. The log type and the destination are in the name of the step; events of all
accounts that a step reads are one counter. `delivery_latency_seconds` is a distribution, `position_age_seconds_ACCOUNT` a gauge
(of the first hundred accounts of a worker). Beside these, Beam has `cumulativeThrottlingSeconds`, by which Dataflow knows that
more workers would not help, and `lineage`.

What was counted while a bundle failed is in the counts of the next one. Beam's job service has them (`result.metrics()` in a
program of your own): tests ask it on the in-process runner, on Prism and on a Flink cluster.

{beam}
"""

NOTES = {
    "pages": "answers of Duo that were read",
    "pages_shared": "those of them that another destination of the stream had asked for",
    "rows_left_out": "events that an overlap has read again and that were known",
    "windows": "stretches of time that were read to their end",
    "windows_that_differ": "those of them of which Duo counted more or fewer events than it gave",
    "counted_by_duo": "events that Duo counted in windows",
    "asked_again": "windows that were asked for again, because there was less than counted",
    "missing": "events that Duo counted and did not give, also when asked again",
    "gaps_closed": "stretches whose missing events came later",
    "gaps_given_up": "stretches whose missing events did not come",
    "odd_rows": "rows that could not be read as JSON; they go on as they are",
    "circled": "page cursors of Duo that did not lead on",
    "page_refused": "page cursors that Duo did not take any more; reading went on by time",
    "unreachable": "moments with more events than Duo gives in one page",
    "overlap_shortened": "windows followed by less overlap than configured, for want of memory",
    "days_out_of_reach": "days between a position and the oldest event that Duo still serves",
    "ahead_of_clock": "positions that were ahead of the machine's clock",
    "threads_refused": "threads that the system did not give",
}


def document() -> str:
    """The whole file, without the last line break."""
    rows = "".join(f"{_row(metric)}\n" for metric in CATALOG.values())
    tail = _TAIL.format(
        buckets=", ".join(f"{bound:,.0f}" for bound in LATENCY_BUCKETS_SECS),
        notes="\n".join(f"| `{what}` | {says} |" for what, says in NOTES.items()),
        per_stream=_SERIES_PER_STREAM,
        latency=_LATENCY_SERIES,
        msp=4000 * _SERIES_PER_STREAM,
        msp_mb=4000 * _SERIES_PER_STREAM * _BYTES_PER_SERIES // 1_000_000,
        beam=_beam(),
    )
    return f"{_HEAD}{rows}{tail}".rstrip("\n")


_LATENCY_SERIES = len(LATENCY_BUCKETS_SECS) + 3  # the last bucket, the sum and the count
_SERIES_PER_STREAM = 26 + _LATENCY_SERIES
_BYTES_PER_SERIES = 115


def _row(metric: Metric) -> str:
    labels = ", ".join(f"`{label}`" for label in metric.labels)
    return f"| `{metric.name}` | {metric.kind} | {labels} | {metric.help} | {metric.use} |"


def _beam() -> str:
    lines = ["| Beam's name | of the step |", "|---|---|"]
    for metric in CATALOG.values():
        if metric.beam:
            more = "".join(f"_{label.upper()}" for label in metric.labels if label not in {*STREAM, *LOG})
            account = "_ACCOUNT" if metric.kind == "gauge" else ""
            lines.append(f"| `{metric.beam_name}{more}{account}` | {_STEPS[metric.beam]} |")
    return "\n".join(lines)


_STEPS = {"read": "that reads Duo", "send": "that sends to the destination, or before it"}

if __name__ == "__main__":
    sys.stdout.write(f"{document()}\n")
