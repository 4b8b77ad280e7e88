"""What a cluster of so many workers needs for the whole nation: from the layout of the state, and what was measured."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil
from typing import Final

from bench.evaluation_tables import table
from bench.scale_history import Plan
from bench.scale_results import Result, Results
from bench.scale_spread import by_partition
from processors.records import RecordStore
from schemas.located import LOCATED
from schemas.settings import Settings
from simulation.nation import FORCES, share_of
from streams.topics import DAY_MS, Topics, topic_table

CLUSTERS: Final = (1, 2, 3, 4, 6, 12)
MIB: Final = 1024.0**2
GIB: Final = 1024.0**3
RECORDS: Final = {force.id: share_of(force) for force in FORCES}


def store_bytes(records: int) -> int:
    """What the arrays of a region's records take: they have room for the next power of two."""
    return round(_room_bytes() * (1 << max(6, (records - 1).bit_length())))


def _room_bytes() -> float:
    """Bytes for each record that there is room for, in a store as it is made."""
    held = RecordStore().reserve(1 << 12)
    return sum(array.nbytes for array in held) / held.rows.size


def packed_bytes(records: int) -> int:
    """What the packed weeks of a region's records take, in a table of Faust or on the broker."""
    return records * LOCATED.itemsize


def region_overhead_mib(result: Result, plan: Plan) -> float:
    """What a region took beside its records: baseline, calibration, windows, their copies in the table. MiB."""
    measured = sum(result.rss_mib) - result.workers * result.rss_empty_mib
    held = [round(share * plan.simulated_per_year * plan.years) for share in RECORDS.values()]
    copies = 1 if result.workers == 1 else 2  # with several workers each partition has a standby
    by_layout = sum(store_bytes(records) + copies * packed_bytes(records) for records in held) / MIB
    return max(0.0, (measured - by_layout) / len(held))


def worker_gib(names: list[str], standby: list[str], plan: Plan, empty_mib: float, overhead_mib: float) -> float:
    """Memory of a worker that has these regions, and is the standby of others, with all records of the nation."""
    held = {name: round(share * plan.records_per_year * plan.years) for name, share in RECORDS.items()}
    own = sum(store_bytes(held[name]) + packed_bytes(held[name]) for name in names)
    others = sum(packed_bytes(held[name]) for name in standby)
    return (own + others) / GIB + (empty_mib + len(names) * overhead_mib) / 1024


def sizing(results: Results) -> str:
    """Tables for a cluster. Nothing without results."""
    if not results.by_workers:
        return ""
    plan, runs = results.plan, results.in_order
    empty = max(one.rss_empty_mib for one in runs)
    overhead = max(region_overhead_mib(one, plan) for one in runs)
    head = ("workers", "partitions of each", "fullest worker: part of the records", "regions", "memory, GiB")
    return "\n".join(
        [
            f"The whole nation, {plan.years} years of {plan.records_per_year:,} records. A worker with the fullest "
            f"partitions, which is the worst that can fall to one: {empty:,.0f} MiB for one that holds nothing and "
            f"{overhead:,.1f} MiB a region as measured above, the records by the layout of the arrays:\n",
            table(head, _clusters(plan, empty, overhead)),
            _disk(results),
        ]
    )


def _clusters(plan: Plan, empty: float, overhead: float) -> Iterator[tuple[str, ...]]:
    of_partition = by_partition(plan.partitions)
    fullest = sorted(of_partition.values(), key=lambda names: sum(RECORDS[name] for name in names), reverse=True)
    for workers in CLUSTERS:
        if workers > plan.partitions:
            return
        most = ceil(plan.partitions / workers)
        names = [name for partition in fullest[:most] for name in partition]
        standby = [name for partition in fullest[most : 2 * most] for name in partition] if workers > 1 else []
        share = sum(RECORDS[name] for name in names)
        memory = worker_gib(names, standby, plan, empty, overhead)
        yield str(workers), str(most), f"{share:.0%}", str(len(names)), f"{memory:.1f}"


def _disk(results: Results) -> str:
    plan, last = results.plan, results.in_order[-1]
    days = _kept_days()
    revisions_a_day = last.records / plan.years / plan.share / 365
    source = last.source_mib * MIB / last.records
    located = last.located_mib * MIB / last.records
    live = sum(packed_bytes(round(share * plan.records_per_year * plan.years)) for share in RECORDS.values())
    rows = (
        ("source topics, in batches of 500", f"{source:,.0f} bytes a revision", _gib(source * revisions_a_day * days)),
        ("located topic", f"{located:,.0f} bytes a revision", _gib(located * revisions_a_day * days)),
        ("changelog, compacted", f"{LOCATED.itemsize} bytes a record, all years", _gib(live)),
    )
    return (
        f"Broker disk for each replica, after the history is loaded; source and located topics keep {days:.0f} days "
        f"({revisions_a_day:,.0f} revisions a day):\n\n" + table(("what", "measured or by layout", "GiB"), rows)
    )


def _kept_days() -> float:
    """How long the located topic is kept, days; the source topics as long."""
    settings = Settings()
    topics = Topics(settings.prefix)
    (located,) = [topic for topic in topic_table(topics, settings) if topic.topic == topics.located]
    return int(located.config["retention.ms"]) / DAY_MS


def _gib(size: float) -> str:
    return f"{size / GIB:,.2f}"
