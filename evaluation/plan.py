"""What a backtest is told to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, get_args

from evaluation.lateness import Lateness
from processors.localtime import LocalHours
from schemas.detection import DetectionSettings
from schemas.evaluation import HotspotSpec
from schemas.located import LocatedArray
from schemas.region import RegionFile

MONITOR: Final = "monitor"
COMPARATORS: Final = ("permutation", "threshold", "ears-c2", "gi-star", "cusum")
Group = Literal["delay", "source", "setting"]
GROUPS: Final[tuple[Group, ...]] = get_args(Group)


@dataclass(frozen=True)
class Plan:
    """One backtest."""

    rows: LocatedArray
    """In the order in which they become known."""
    region: RegionFile
    local: LocalHours
    settings: DetectionSettings
    since: int
    until: int
    """The period, whole local days, s."""
    lateness: Lateness
    specs: tuple[HotspotSpec, ...]
    """Hotspots to plant; none where not given."""
    methods: tuple[str, ...]
    """Beside the monitor."""
    seed: int
    null_years: int = 0
    """Simulated years without anything that emerges."""
    effects: tuple[Group, ...] = ()
    """Which things are tried otherwise."""
    simulated: bool = False
    """Whether the file says that its records are."""
