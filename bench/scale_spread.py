"""How the regions of the nation lie on the partitions of the located topic."""

from __future__ import annotations

from collections.abc import Mapping

from aiokafka.partitioner import DefaultPartitioner

from bench.evaluation_tables import table
from bench.scale_history import Plan
from simulation.nation import FORCES, share_of


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
