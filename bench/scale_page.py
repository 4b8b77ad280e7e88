"""Tables of docs/scale.md from the results of `make scale`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from bench.evaluation_tables import table
from bench.scale_results import Latency, Result, Results
from bench.scale_sizing import sizing
from bench.scale_spread import spread
from simulation.nation import FORCES

#: Load average below which nothing else is at work.
QUIET: Final = 0.5
Row = tuple[str, Callable[[Result], str]]


def page_part(results: Results) -> str:
    """All that stands between the marks of the page."""
    if not results.by_workers:
        return "Nothing has been measured yet: `make scale`.\n"
    runs = results.in_order
    head = ("", *(f"{one.workers} worker{'s' if one.workers > 1 else ''}" for one in runs))
    rows = ((name, *(value(one) for one in runs)) for name, value in ROWS)
    return "\n".join(
        [conditions(results), table(head, rows), spread(results.plan), "### For a cluster\n", sizing(results)]
    )


def conditions(results: Results) -> str:
    """What was measured, when and on what."""
    plan, runs = results.plan, results.in_order
    dates = sorted({one.measured_at.date().isoformat() for one in runs})
    machines = sorted({one.machine for one in runs})
    told = [
        f"Measured on {' and '.join(dates)} on {'; '.join(machines)}, which the workers share with the broker and with "
        "the program that publishes.",
        f"Simulated: {len(FORCES)} regions, {plan.years} years of {plan.simulated_per_year:,.0f} records, "
        f"{runs[-1].records:,} revisions with corrections; {plan.partitions} partitions, calibrations of "
        f"{plan.calibration_days} days.",
        "Where there are more workers than cores, records a second of all workers cannot grow: read those of a core, "
        "which is a second of processor time of the workers.",
    ]
    if plan.share < 1:
        told.append(f"**This is a share of {plan.share:g} of the nation's records.**")
    few = len(FORCES) - runs[-1].regions_looked_at
    if few:
        told.append(f"Regions with too few records to learn from are not waited for: {few}.")
    busy = max(one.load_before for one in runs)
    if busy > QUIET:
        told.append(
            f"**Other programs kept the machine busy (load average {busy:.1f} before it began), so times mean little.**"
        )
    return " ".join(told) + "\n"


def _listed(values: list[float], form: str) -> str:
    return ", ".join(form.format(value) for value in values)


def _latency(latency: Latency) -> str:
    return f"{latency.p50_ms:,.0f} / {latency.p99_ms:,.0f} ({latency.alerts} of {latency.published})"


ROWS: Final[tuple[Row, ...]] = (
    ("history taken in, minutes", lambda one: f"{one.load_seconds / 60:.1f}"),
    ("... records a second", lambda one: f"{one.load_rate:,.0f}"),
    ("... records a second of a core", lambda one: f"{one.load_rate_per_core:,.0f}"),
    ("then until all regions are looked at, minutes", lambda one: f"{one.first_looks_seconds / 60:.1f}"),
    ("live, looks included: records a second", lambda one: f"{one.live_rate:,.0f}"),
    ("... of a core", lambda one: f"{one.live_rate_per_core:,.0f}"),
    ("record to alert, p50 / p99, ms, at the average rate", lambda one: _latency(one.at_average)),
    (
        "... beside ten times the busiest hour of a year",
        lambda one: f"{_latency(one.at_peak)}, {one.at_peak.records_per_second:.1f} records/s",
    ),
    ("resident memory of a worker that holds nothing, MiB", lambda one: f"{one.rss_empty_mib:,.0f}"),
    ("... of each worker with the history, after its looks", lambda one: _listed(one.rss_mib, "{:,.0f}")),
    ("... at its highest", lambda one: _listed(one.rss_peak_mib, "{:,.0f}")),
    ("... of all, bytes a record", lambda one: f"{sum(one.rss_mib) * 1024**2 / one.records:,.0f}"),
    ("regions of each worker", lambda one: ", ".join(map(str, one.regions))),
    ("... part of the records", lambda one: _listed(one.shares, "{:.0%}")),
    ("source topics on disk, MiB", lambda one: f"{one.source_mib:,.0f}"),
    ("located topic", lambda one: f"{one.located_mib:,.0f}"),
    ("changelog, not all compacted", lambda one: f"{one.changelog_mib:,.0f}"),
    ("Redis, MiB", lambda one: f"{one.redis_mib:.1f}"),
    (
        "take-over after the session timeout, s",
        lambda one: "nobody there" if one.takeover_seconds is None else f"{one.takeover_seconds:.1f}",
    ),
    ("start of a worker until it has partitions, s", lambda one: f"{one.rejoin_seconds:.1f}"),
    ("from then until all regions are looked at, s", lambda one: f"{one.recovery_seconds:.1f}"),
)
