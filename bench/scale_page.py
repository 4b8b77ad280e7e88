"""Tables of docs/scale.md from the results of `make scale`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from aiokafka.partitioner import DefaultPartitioner

from bench.evaluation_tables import table
from bench.scale_history import Plan
from bench.scale_results import Latency, Result, Results
from simulation.nation import FORCES, share_of

Row = tuple[str, Callable[[Result], str]]


def page_part(results: Results) -> str:
    """All that stands between the marks of the page."""
    if not results.by_workers:
        return "Nothing has been measured yet: `make scale`.\n"
    runs = results.in_order
    head = ("", *(f"{one.workers} worker{'s' if one.workers > 1 else ''}" for one in runs))
    rows = ((name, *(value(one) for one in runs)) for name, value in ROWS)
    return "\n".join([conditions(results), table(head, rows), spread(results.plan)])


def conditions(results: Results) -> str:
    """What was measured, when and on what."""
    plan, runs = results.plan, results.in_order
    last = runs[-1]
    dates = sorted({one.measured_at.date().isoformat() for one in runs})
    machines = sorted({one.machine for one in runs})
    part = "" if plan.share == 1 else f" **This is a share of {plan.share:g} of the nation's records.**"
    return (
        f"Measured on {' and '.join(dates)} on {'; '.join(machines)}, which the workers share with the broker and with "
        f"the program that publishes. Simulated: {len(FORCES)} regions, {plan.years} years of "
        f"{plan.simulated_per_year:,.0f} records, {last.records:,} revisions with corrections; "
        f"{plan.partitions} partitions.{part} Where there are more workers than cores, records a second of all workers "
        f"cannot grow: read those of a core (a second of processor time of the workers).\n"
    )


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


def partition_of(region: str, partitions: int) -> int:
    """The partition of the located topic in which a region lives; the partitioner is the workers' own."""
    numbers = list(range(partitions))
    return int(DefaultPartitioner()(region.encode(), numbers, numbers))


def by_partition(partitions: int) -> Mapping[int, list[str]]:
    """The regions of each partition."""
    found: dict[int, list[str]] = {number: [] for number in range(partitions)}
    for force in FORCES:
        found[partition_of(force.id, partitions)].append(force.id)
    return found


def spread(plan: Plan) -> str:
    """How regions lie on partitions."""
    shares = {force.id: share_of(force) for force in FORCES}
    of_partition = by_partition(plan.partitions)
    parts = {number: sum(shares[name] for name in names) for number, names in of_partition.items()}
    fullest = max(parts, key=lambda number: parts[number])
    largest = max(FORCES, key=share_of)
    rows = (
        (str(number), str(len(names)), f"{parts[number]:.1%}", ", ".join(names))
        for number, names in of_partition.items()
    )
    return (
        f"The largest region, {largest.name}, has {share_of(largest):.1%} of the records; the fullest partition, "
        f"{fullest}, has {parts[fullest]:.1%}, where an even spread would give {1 / plan.partitions:.1%}.\n\n"
        + table(("partition", "regions", "part of the records", "which"), rows)
    )
