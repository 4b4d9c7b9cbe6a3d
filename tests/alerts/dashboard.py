"""The Grafana dashboard: ``python -m tests.alerts.dashboard`` writes pipelines/launch_files/monitoring/dashboard.json.

Place: built with Grafana's own types, compared and checked by ``test_dashboard``, asked of a real Prometheus by
``test_prometheus``. It goes by docs/metrics.md and by what rules.yml records.

Contract: one row of panels per question that somebody has, the first that of the verdict; variables choose program, account,
log and destination; a graph of streams shows the fifteen worst, so that an MSP with a thousand customers can be looked at.
"""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, statetimeline, table, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as look
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

FILE = Path(__file__).parents[2] / "pipelines" / "launch_files" / "monitoring" / "dashboard.json"

PROGRAM = 'instance=~"$instance"'
STREAM = f'{PROGRAM},account=~"$account",log_type=~"$log_type",destination=~"$destination"'
LOG = f'{PROGRAM},account=~"$account",log_type=~"$log_type"'
DESTINATION = f'{PROGRAM},destination=~"$destination"'
# What rules.yml records is not told by account.
RECORDED = f'{PROGRAM},log_type=~"$log_type",destination=~"$destination"'
NEEDS_YOU = "suspended|damaged|refused|waiting|behind"

_GREEN, _AMBER, _RED = "green", "orange", "red"
_OFTEN = "[$__rate_interval]"
_SOURCE = model.DataSourceRef("prometheus", "${datasource}")

Panel = Any
"""A builder of one of the SDK's kinds of panels: they share their methods, and no type."""


def build() -> str:
    """The dashboard as JSON."""
    board = (
        dashboard.Dashboard("Duo Log Sync")
        .uid("duologsync")
        .description("What the SIEM has of Duo's logs, and who has to do something. See docs/monitoring.md.")
        .tags(["duo", "siem", "beam"])
        .time("now-6h", "now")
        .refresh("1m")
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
    )
    for variable in _variables():
        board = board.with_variable(variable)
    ids = itertools.count(1)
    for title, panels in _rows():
        board = board.with_row(dashboard.Row(title).id(next(ids)))
        for panel in panels:
            board = board.with_panel(panel.id(next(ids)).datasource(_SOURCE))
    return json.dumps(board.build(), cls=JSONEncoder, indent=1, sort_keys=True) + "\n"


def _variables() -> list[Any]:
    return [
        dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus"),
        _chosen("instance", "Program", "duologsync_build_info"),
        _chosen("account", "Account", f"duologsync_stream_state{{{PROGRAM}}}"),
        _chosen("log_type", "Log", f"duologsync_stream_state{{{PROGRAM}}}"),
        _chosen("destination", "Destination", f"duologsync_stream_state{{{PROGRAM}}}"),
    ]


def _chosen(label: str, title: str, metric: str) -> dashboard.QueryVariable:
    return (
        dashboard.QueryVariable(label)
        .label(title)
        .datasource(_SOURCE)
        .query(f"label_values({metric}, {label})")
        .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(model.VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        .all_value(".*")
        .current(model.VariableOption(selected=True, text="All", value="$__all"))
    )


def _rows() -> list[tuple[str, list[Panel]]]:
    return [
        ("Is all well?", [*_verdict(), _streams()]),
        ("How fresh is the SIEM?", _freshness()),
        ("How much passes?", _volume()),
        ("What went wrong?", _trouble()),
        ("Duo", _duo()),
        ("Destinations", _destinations()),
        ("The program", _program()),
    ]


def _verdict() -> list[Panel]:
    need = f'count(duologsync_stream_state{{{STREAM},state=~"{NEEDS_YOU}"}} == 1) or vector(0)'
    expiry = f"min(duologsync_certificate_expiry_timestamp_seconds{{{DESTINATION}}}) - time()"
    return [
        _stat("Streams that need you", need, "The verdict: duologsync status says what to do.", _steps(0, 1)).mappings(
            [model.ValueMap(options={"0": model.ValueMappingResult(text="none", color=_GREEN, index=0)})]
        ),
        _stat(
            "Furthest behind",
            f"max(duologsync_position_age_seconds{{{STREAM}}})",
            "Beyond what Duo itself takes to show an event.",
            _steps(900, 3600),
            "s",
        ),
        _stat(
            "Delivered per second",
            f"sum(rate(duologsync_events_delivered_total{{{STREAM}}}{_OFTEN}))",
            "Events that destinations have confirmed.",
            _steps(),
        ),
        _stat(
            "Dead letters, last hour",
            f"sum(duologsync:dead_letters:increase1h{{{RECORDED}}}) or vector(0)",
            "Recorded by rules.yml, which sees the first one, too.",
            _steps(0, 1),
        ),
        _stat(
            "Destinations away",
            f"count(duologsync_destination_up{{{DESTINATION}}} == 0) or vector(0)",
            "What goes there waits; nothing is lost.",
            _steps(0, 1),
        ),
        _stat("Next certificate ends in", expiry, "Of destinations over TLS, theirs and ours.", _ends_in(), "s").no_value(
            "no TLS"
        ),
    ]


def _streams() -> Panel:
    by = "account, log_type, destination"
    queries = [
        f"max by ({by}, state) (duologsync_stream_state{{{STREAM}}} == 1)",
        f"max by ({by}) (duologsync_position_age_seconds{{{STREAM}}})",
        f"max by ({by}) (duologsync_backlog_events{{{STREAM}}})",
        f"sum by ({by}) (rate(duologsync_events_delivered_total{{{STREAM}}}{_OFTEN}))",
        f"max by ({by}) (duologsync_position_timestamp_seconds{{{STREAM}}}) * 1000",
    ]
    names = ["state", "behind", "backlog", "per second", "delivered up to"]
    columns = ["account", "log_type", "destination", "state", *(f"Value #{ref}" for ref in "BCDE")]
    panel = _table("Streams", queries, columns, dict(zip((f"Value #{ref}" for ref in "ABCDE"), names, strict=True)))
    return (
        panel.description("One row for each log of an account on its way to a destination. The furthest behind is first.")
        .span(24)
        .height(9)
        .sort_by([common.TableSortByFieldState().display_name("behind").desc(True)])
        .override_by_name("behind", [_unit("s")])
        .override_by_name("per second", [_unit("short"), model.DynamicConfigValue("decimals", 1)])
        .override_by_name("delivered up to", [_unit("dateTimeFromNow")])
    )


def _freshness() -> list[Panel]:
    stream = "{{log_type}} of {{account}} to {{destination}}"
    bucket = f"rate(duologsync_delivery_latency_seconds_bucket{{{STREAM}}}{_OFTEN})"
    quantiles = [
        (f"histogram_quantile({q}, sum by (destination, le) ({bucket}))", f"{name} {{{{destination}}}}")
        for q, name in ((0.5, "half within,"), (0.95, "95 % within,"))
    ]
    ages = [(f"topk(15, duologsync_oldest_undelivered_age_seconds{{{STREAM}}}) or vector(0)", stream)]
    return [
        _lines("Behind", [(f"topk(15, duologsync_position_age_seconds{{{STREAM}}})", stream)], "s"),
        _lines("From readable at Duo to confirmed", quantiles, "s"),
        _lines("Oldest event that is read and not delivered", ages, "s"),
    ]


def _volume() -> list[Panel]:
    def rate(name: str, by: str, chosen: str = STREAM) -> str:
        return f"sum by ({by}) (rate(duologsync_{name}_total{{{chosen}}}{_OFTEN}))"

    way = "{{log_type}} to {{destination}}"
    carried = [
        (rate("received_bytes", "log_type", LOG), "{{log_type}} from Duo"),
        (rate("sent_bytes", "destination", DESTINATION), "to {{destination}}"),
    ]
    passed = [
        (rate("events_read", "log_type"), "{{log_type}} read"),
        (f"{rate('events_filtered', 'log_type')} or vector(0)", "{{log_type}} filtered"),
    ]
    return [
        _lines("Delivered per second, by log", [(rate("events_delivered", "log_type, destination"), way)]),
        _lines("Read and filtered per second", passed),
        _lines("Backlog", [(f"sum by (log_type, destination) (duologsync_backlog_events{{{STREAM}}})", way)]),
        _lines("Bytes per second", carried, "Bps"),
    ]


def _trouble() -> list[Panel]:
    letters = f"sum by (destination, reason) (duologsync:dead_letters:increase1h{{{RECORDED}}}) or vector(0)"
    failed = f"sum by (destination) (increase(duologsync_bundles_failed_total{{{STREAM}}}{_OFTEN})) or vector(0)"
    lines = (
        f'sum by (level, code) (increase(duologsync_log_messages_total{{{PROGRAM},level=~"warning|error|critical"}}{_OFTEN}))'
    )
    missing = f"max by (account, log_type) (duologsync_missing_events{{{STREAM}}} > 0) or vector(0)"
    again = f"sum by (destination) (increase(duologsync_reconnects_total{{{DESTINATION}}}{_OFTEN})) or vector(0)"
    return [
        _bars("Dead letters of the hour before, by reason", [(letters, "{{reason}} {{destination}}")]),
        _bars("Warnings and errors by code", [(f"{lines} or vector(0)", "{{level}} {{code}}")]),
        _bars("Bundles sent again", [(failed, "{{destination}}")]),
        _bars("Reconnections", [(again, "{{destination}}")]),
        _lines("Events that Duo counts and does not give", [(missing, "{{log_type}} of {{account}}")]),
    ]


def _duo() -> list[Panel]:
    called = f"sum by (outcome) (rate(duologsync_duo_calls_total{{{LOG}}}{_OFTEN}))"
    by = "account, log_type"
    every = f"rate(duologsync_duo_calls_total{{{LOG}}}{_OFTEN})"
    throttled = f'rate(duologsync_duo_calls_total{{{LOG},outcome="throttled"}}{_OFTEN})'
    share = f"topk(15, sum by ({by}) ({throttled}) / sum by ({by}) ({every})) or vector(0)"
    held = f"topk(15, sum by ({by}) (rate(duologsync_duo_throttled_seconds_total{{{LOG}}}{_OFTEN}))) or vector(0)"
    log = "{{log_type}} of {{account}}"
    paces = [
        (f"topk(15, duologsync_duo_call_interval_seconds{{{LOG}}})", f"kept for {log}"),
        (f"topk(15, duologsync_duo_limit_interval_seconds{{{LOG}}}) or vector(0)", f"Duo's limit for {log}"),
    ]
    return [
        _lines("Calls per second by outcome", [(called, "{{outcome}}")]),
        _lines("Share of calls answered with 429", [(share, log)], "percentunit"),
        _lines("Pause between two calls", paces, "s"),
        _lines("Share of time held back by the limit", [(held, log)], "percentunit"),
    ]


def _destinations() -> list[Panel]:
    up = (
        statetimeline.Panel()
        .title("Up")
        .span(12)
        .height(8)
        .with_target(_query(f"max by (destination) (duologsync_destination_up{{{DESTINATION}}})", "{{destination}}"))
        .mappings(
            [
                model.ValueMap(
                    options={
                        "0": model.ValueMappingResult(text="away", color=_RED, index=1),
                        "1": model.ValueMappingResult(text="up", color=_GREEN, index=0),
                    }
                )
            ]
        )
    )
    kept = f"max by (destination) (duologsync_replay_buffer_bytes{{{DESTINATION}}})"
    opened = f"max by (destination) (duologsync_connections{{{DESTINATION}}})"
    expiry = f"min by (destination, certificate) (duologsync_certificate_expiry_timestamp_seconds{{{DESTINATION}}}) * 1000"
    certificates = _table("Certificates", [expiry], ["destination", "certificate", "Value"], {"Value": "ends"})
    return [
        up,
        certificates.override_by_name("ends", [_unit("dateTimeFromNow")]),
        _lines("Acknowledged and perhaps not read", [(kept, "{{destination}}")], "bytes"),
        _lines("Connections", [(opened, "{{destination}}")]),
    ]


def _program() -> list[Panel]:
    ours = f"and on (job, instance) duologsync_build_info{{{PROGRAM}}}"
    fields = f"sum by (log_type) (duologsync_unknown_fields{{{PROGRAM}}}) or vector(0)"
    values = f"sum by (log_type, field) (duologsync_unknown_values{{{PROGRAM}}})"
    drift = [(fields, "fields of {{log_type}}"), (values, "values of {{field}} in {{log_type}}")]
    checkpoints = f"topk(15, duologsync_checkpoint_age_seconds{{{STREAM}}})"
    builds = ["instance", "version", "python", "beam", "Value"]
    started = f"duologsync_build_info{{{PROGRAM}}} * on (job, instance) group_left () duologsync_start_time_seconds * 1000"
    return [
        _lines("Memory", [(f"process_resident_memory_bytes {ours}", "{{instance}}")], "bytes"),
        _lines("Processors", [(f"rate(process_cpu_seconds_total{_OFTEN}) {ours}", "{{instance}}")], "percentunit"),
        _lines("Fields and values that this release does not know", drift),
        _lines("Age of checkpoints", [(checkpoints, "{{log_type}} of {{account}} to {{destination}}")], "s"),
        _table("Programs", [started], builds, {"Value": "started"}).override_by_name("started", [_unit("dateTimeFromNow")]),
    ]


# --- kinds of panels -------------------------------------------------------------------------------------------------------


def _query(expr: str, legend: str = "") -> prometheus.Dataquery:
    return prometheus.Dataquery().expr(expr).legend_format(legend or "__auto").range()


def _lines(title: str, queries: list[tuple[str, str]], unit: str = "short") -> Panel:
    panel = (
        timeseries.Panel()
        .title(title)
        .span(12)
        .height(8)
        .unit(unit)
        .min(0)
        .fill_opacity(8)
        .show_points(look.VisibilityMode.NEVER)
        .legend(
            common.VizLegendOptions()
            .display_mode(look.LegendDisplayMode.TABLE)
            .placement(look.LegendPlacement.BOTTOM)
            .show_legend(True)
            .calcs(["lastNotNull", "max"])
        )
        .tooltip(common.VizTooltipOptions().mode(look.TooltipDisplayMode.MULTI).sort(look.SortOrder.DESCENDING))
    )
    for ref, (expr, legend) in zip("ABCDEF", queries, strict=False):
        panel = panel.with_target(_query(expr, legend).ref_id(ref))
    return panel


def _bars(title: str, queries: list[tuple[str, str]]) -> Panel:
    stacked = common.StackingConfig().mode(look.StackingMode.NORMAL).group("A")
    return _lines(title, queries).draw_style(look.GraphDrawStyle.BARS).fill_opacity(60).stacking(stacked)


def _stat(title: str, expr: str, says: str, steps: dashboard.ThresholdsConfig, unit: str = "short") -> Panel:
    return (
        stat.Panel()
        .title(title)
        .description(says)
        .span(4)
        .height(4)
        .unit(unit)
        .thresholds(steps)
        .color_mode(look.BigValueColorMode.BACKGROUND)
        .graph_mode(look.BigValueGraphMode.NONE)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .with_target(_query(expr).ref_id("A"))
    )


def _table(title: str, queries: list[str], columns: list[str], names: dict[str, str]) -> Panel:
    shown = {"indexByName": {column: place for place, column in enumerate(columns)}, "renameByName": names}
    hidden = {"excludeByName": {"Time": True, "job": True, "__name__": True, "Value #A": "Value #A" not in columns}}
    panel = (
        table.Panel()
        .title(title)
        .span(12)
        .height(8)
        .filterable(True)
        .with_transformation(model.DataTransformerConfig(id_val="merge", options={}))
        .with_transformation(model.DataTransformerConfig(id_val="organize", options={**shown, **hidden}))
    )
    for ref, expr in zip("ABCDE", queries, strict=False):
        panel = panel.with_target(prometheus.Dataquery().expr(expr).instant().format(PromQueryFormat.TABLE).ref_id(ref))
    return panel


def _unit(unit: str) -> model.DynamicConfigValue:
    return model.DynamicConfigValue("unit", unit)


def _steps(amber: float | None = None, red: float | None = None) -> dashboard.ThresholdsConfig:
    """Green below the first value, amber up to the second, red from there; without them always green."""
    steps = [model.Threshold(value=None, color=_GREEN)]
    if amber:
        steps.append(model.Threshold(value=amber, color=_AMBER))
    if red:
        steps.append(model.Threshold(value=red, color=_RED))
    return dashboard.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps(steps)


def _ends_in() -> dashboard.ThresholdsConfig:
    steps = [
        model.Threshold(value=None, color=_RED),
        model.Threshold(value=3 * 86_400, color=_AMBER),
        model.Threshold(value=21 * 86_400, color=_GREEN),
    ]
    return dashboard.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps(steps)


if __name__ == "__main__":
    FILE.write_text(build(), encoding="utf-8")
