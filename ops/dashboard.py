"""The Grafana dashboard of the monitor's own health, as code: prints the JSON that is committed beside it."""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import BigValueGraphMode, GraphDrawStyle, LegendPlacement
from grafana_foundation_sdk.models.dashboard import DashboardCursorSync, DataSourceRef, Threshold, ThresholdsMode

UID = "hotspot-monitor"
SOURCE = DataSourceRef(type_val="prometheus", uid="hotspot-prometheus")
GREEN, AMBER, RED = "green", "orange", "red"
STAT_WIDTH, STAT_HEIGHT = 6, 4
GRAPH_WIDTH, GRAPH_HEIGHT = 12, 8


@dataclass(frozen=True)
class Query:
    """One PromQL expression and the name of its lines."""

    expression: str
    legend: str


@dataclass(frozen=True)
class Panel:
    """What one panel shows, in which unit, and what a reader should make of it."""

    title: str
    unit: str
    description: str
    queries: Sequence[Query]
    form: Literal["line", "bars", "stat"] = "line"
    steps: Sequence[tuple[float | None, str]] = ((None, GREEN),)
    """Values from which a stat takes each colour; the first has no value and holds below the second."""


def quantiles(metric: str, label: str) -> list[Query]:
    """Median and 95th percentile of a histogram over an hour: feeds are too small for less."""
    rate = f"sum by (le, {label}) (rate({metric}_bucket[1h]))" if label else f"sum by (le) (rate({metric}_bucket[1h]))"
    name = f"{{{{{label}}}}} " if label else ""
    return [Query(f"histogram_quantile({q}, {rate})", f"{name}{words}") for q, words in ((0.5, "half"), (0.95, "95 %"))]


ROWS: dict[str, list[Panel]] = {
    "Is it working": [
        Panel(
            "Workers that answer",
            "short",
            "Workers whose metrics Prometheus could read at the last scrape. Zero: nothing is watched.",
            [Query('sum(up{job="hotspot-worker"})', "workers")],
            form="stat",
            steps=[(None, RED), (1, GREEN)],
        ),
        Panel(
            "Workers that are ready",
            "short",
            "Workers with regions assigned, state read back and baselines loaded.",
            [Query("sum(hotspot_ready)", "ready")],
            form="stat",
            steps=[(None, RED), (1, GREEN)],
        ),
        Panel(
            "Waiting longest",
            "s",
            "Age of the oldest message that no stage has processed yet, over all topics.",
            [Query("max(hotspot_lag_seconds)", "oldest message")],
            form="stat",
            steps=[(None, GREEN), (60, AMBER), (300, RED)],
        ),
        Panel(
            "Open episodes",
            "short",
            "Episodes that are followed now, over all regions. Not a measure of health.",
            [Query("sum(hotspot_episodes_open)", "open")],
            form="stat",
        ),
        Panel(
            "Time since each stage showed life",
            "s",
            "Stages do their round at least every tick (a minute). A line that climbs is a stage that has stopped.",
            [Query("time() - hotspot_stage_heartbeat_timestamp_seconds", "{{instance}} {{stage}}")],
        ),
        Panel(
            "Versions that run",
            "short",
            "Workers by version; two lines only while an update is under way.",
            [Query("count by (version) (hotspot_build_info)", "{{version}}")],
        ),
    ],
    "What comes in": [
        Panel(
            "Records by outcome",
            "short",
            "Records in an hour. Gated: kept and shown but not scanned. Duplicate: this revision was known already.",
            [Query("sum by (kind, outcome) (increase(hotspot_records_total[1h]))", "{{kind}} {{outcome}}")],
            form="bars",
        ),
        Panel(
            "Refused messages by reason",
            "short",
            "Messages that went to the dead letters in an hour. Reasons are explained in docs/operations.md.",
            [Query("sum by (kind, reason) (increase(hotspot_rejected_total[1h])) > 0", "{{kind}} {{reason}}")],
            form="bars",
        ),
        Panel(
            "Time since the last record of each source",
            "s",
            "A source that falls silent is not a calm area: its records are missing.",
            [Query("time() - max by (source) (hotspot_last_record_timestamp_seconds)", "{{source}}")],
        ),
        Panel(
            "Problems of feeds",
            "short",
            "Feeds that are silent or look broken. What they would have told is not in the score, or is to be doubted.",
            [Query("max by (source, problem) (hotspot_feed_problem) > 0", "{{source}} {{problem}}")],
        ),
        Panel(
            "Reporting delay",
            "s",
            "From the violence to its record at the partner: half and 95 % of the records of an hour, by source.",
            quantiles("hotspot_reporting_delay_seconds", "source"),
        ),
    ],
    "What waits": [
        Panel(
            "Messages not yet processed",
            "short",
            "By topic. A bulk load climbs and falls; a line that only climbs needs a look at the log.",
            [Query("max by (topic) (hotspot_lag_records)", "{{topic}}")],
        ),
        Panel(
            "Age of the oldest unprocessed message",
            "s",
            "By topic: how late detections are now.",
            [Query("max by (topic) (hotspot_lag_seconds)", "{{topic}}")],
        ),
        Panel(
            "Pauses of the event loop",
            "s",
            "Half and 95 % of the times for which a task of a worker waited for the others.",
            quantiles("hotspot_event_loop_pause_seconds", ""),
        ),
    ],
    "Detection": [
        Panel(
            "Looks",
            "short",
            "Looks at each region in an hour: one for each batch of records, and one a tick.",
            [Query("sum by (region) (increase(hotspot_looks_total[1h]))", "{{region}}")],
        ),
        Panel(
            "Time a look takes",
            "s",
            "Half and 95 % of the looks of an hour.",
            quantiles("hotspot_look_seconds", "region"),
        ),
        Panel(
            "Time to apply one fetch",
            "s",
            "Half and 95 % of the fetches of an hour: putting located records into a region's state.",
            quantiles("hotspot_apply_seconds", "region"),
        ),
        Panel(
            "Episodes open",
            "short",
            "By region. A new region may open several in its first weeks.",
            [Query("sum by (region) (hotspot_episodes_open)", "{{region}}")],
        ),
        Panel(
            "Alerts sent",
            "short",
            "Alert revisions in a day, by region and reason. The alarm budget counts only those with reason opened.",
            [Query("sum by (region, reason) (increase(hotspot_alerts_total[1d])) > 0", "{{region}} {{reason}}")],
            form="bars",
        ),
        Panel(
            "What people said",
            "short",
            "Feedback on episodes in a day, by what became of it, and the mutes that hold now.",
            [
                Query("sum by (result) (increase(hotspot_feedback_total[1d])) > 0", "{{result}}"),
                Query("sum(hotspot_mutes_active)", "mutes"),
            ],
        ),
        Panel(
            "From record published to alert written",
            "s",
            "Half and 95 % of the alerts of an hour.",
            quantiles("hotspot_alert_latency_seconds", ""),
        ),
        Panel(
            "Age of the baselines",
            "s",
            "What is usual is learned again every week.",
            [Query("time() - (max by (region) (hotspot_baseline_fitted_timestamp_seconds) > 0)", "{{region}}")],
        ),
        Panel(
            "Age of the calibrations",
            "s",
            "The threshold that keeps the alarm budget is renewed at the latest every half year.",
            [Query("time() - (max by (region) (hotspot_calibration_timestamp_seconds) > 0)", "{{region}}")],
        ),
    ],
    "Who is told": [
        Panel(
            "Deliveries",
            "short",
            "Alert revisions settled in a day, by route. Skipped: the route did not ask for it. Dead: given up.",
            [Query("sum by (route, result) (increase(hotspot_deliveries_total[1d])) > 0", "{{route}} {{result}}")],
            form="bars",
        ),
        Panel(
            "Deliveries given up",
            "short",
            "Dead letters of routes in the last 7 days. Each is an alert that somebody should have had.",
            [Query('sum(increase(hotspot_deliveries_total{result="dead"}[7d]))', "dead")],
            form="stat",
            steps=[(None, GREEN), (0.5, RED)],
        ),
        Panel(
            "Alert revisions that wait",
            "short",
            "By route: held until quiet hours or a meeting, or not delivered yet. Redis is the monitor's own.",
            [Query("sum by (route) (hotspot_deliveries_waiting)", "{{route}}")],
        ),
        Panel(
            "How long deliveries have failed",
            "s",
            "By route: since the first attempt at what has failed longest. What is only held is not counted.",
            [
                Query(
                    "time() - (max by (route) (hotspot_delivery_failing_since_timestamp_seconds) > 0)",
                    "{{route}}",
                )
            ],
        ),
        Panel(
            "Attempts that failed",
            "short",
            "In an hour, by route and kind of failure; each is tried again until its route gives up.",
            [
                Query(
                    "sum by (route, failure) (increase(hotspot_delivery_failures_total[1h])) > 0",
                    "{{route}} {{failure}}",
                )
            ],
            form="bars",
        ),
        Panel(
            "Time an attempt takes",
            "s",
            "Half and 95 % of the attempts of an hour.",
            quantiles("hotspot_delivery_seconds", "route"),
        ),
        Panel(
            "Requests for feeds",
            "short",
            "In an hour, by feed and answer. 401: no or a wrong token; 503: Redis or the audit trail was away.",
            [Query("sum by (route, status) (increase(hotspot_feed_requests_total[1h])) > 0", "{{route}} {{status}}")],
            form="bars",
        ),
        Panel(
            "Entries of the audit trail",
            "short",
            "In a day, by action: what was disclosed to whom and who looked at what.",
            [Query("sum by (action) (increase(hotspot_audit_entries_total[1d])) > 0", "{{action}}")],
            form="bars",
        ),
    ],
}


def targets(panel: Panel) -> list[prometheus.Dataquery]:
    """The queries of a panel, with reference letters in order."""
    return [
        prometheus.Dataquery().expr(query.expression).legend_format(query.legend).ref_id(chr(ord("A") + place))
        for place, query in enumerate(panel.queries)
    ]


def stat_panel(panel: Panel) -> stat.Panel:
    """A large number, coloured by its steps."""
    steps = [Threshold(color=color, value=value) for value, color in panel.steps]
    return (
        stat.Panel()
        .graph_mode(BigValueGraphMode.AREA)
        .thresholds(dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps))
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .span(STAT_WIDTH)
        .height(STAT_HEIGHT)
    )


def graph_panel(panel: Panel) -> timeseries.Panel:
    """Lines over time, or bars where values are counts of a span."""
    style = GraphDrawStyle.BARS if panel.form == "bars" else GraphDrawStyle.LINE
    return (
        timeseries.Panel()
        .draw_style(style)
        .fill_opacity(40 if panel.form == "bars" else 0)
        .legend(common.VizLegendOptions().placement(LegendPlacement.BOTTOM).show_legend(True))
        .min(0)
        .span(GRAPH_WIDTH)
        .height(GRAPH_HEIGHT)
    )


def build() -> str:
    """The dashboard as JSON: the same text at every run."""
    board = (
        dashboard.Dashboard("Hotspot monitor: its own health")
        .uid(UID)
        .description("Whether the monitor works: feeds, backlog, detection. What it found is not shown here.")
        .tags(["hotspot"])
        .timezone("browser")
        .time("now-24h", "now")
        .refresh("1m")
        .readonly()
        .tooltip(DashboardCursorSync.CROSSHAIR)
    )
    numbers = itertools.count(1)
    for title, panels in ROWS.items():
        board = board.with_row(dashboard.Row(title).id(next(numbers)))
        for panel in panels:
            view = stat_panel(panel) if panel.form == "stat" else graph_panel(panel)
            board = board.with_panel(
                view.id(next(numbers))
                .title(panel.title)
                .description(panel.description)
                .unit(panel.unit)
                .datasource(SOURCE)
                .targets(list(targets(panel)))
            )
    return json.dumps(board.build(), cls=JSONEncoder, indent=2, sort_keys=True) + "\n"


def main() -> None:
    """Print the dashboard."""
    sys.stdout.write(build())


if __name__ == "__main__":
    main()
