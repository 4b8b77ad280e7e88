"""The grid of hotspots that comes with the product: sizes, lengths, radii, sorts of place; and one trait at a time."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import Any, Final

from schemas.evaluation import Busyness, Growth, HotspotSpec, HoursOfWeek

INCIDENTS: Final = (5, 8, 12)
DAYS: Final = (4, 10, 14)
#: Of hotspots that are confined to hours of the week: in less than a week there is nothing weekly.
WEEKS_DAYS: Final = (7, 14, 28)
RADII_M: Final = (250, 600, 1_000)
REPEATS: Final = 3
#: What all hotspots of a family have in common.
FAMILIES: Final[Mapping[str, Mapping[str, Any]]] = {
    "grid": {},
    "grid-second": {"second_part": 0.5},
    "grid-afternoons": {"hours": HoursOfWeek.AFTERNOONS},
    "grid-weekend-nights": {"hours": HoursOfWeek.WEEKEND_NIGHTS},
    "grid-growing": {"growth": Growth.GROWING},
}


def family(name: str) -> tuple[HotspotSpec, ...]:
    """The 81 sorts of hotspot of one family, three of each."""
    trait = name.removeprefix("grid").replace("-", " ")
    return tuple(
        HotspotSpec(
            name=f"{incidents} in {days} days within {radius_m} m {place}{trait}",
            repeats=REPEATS,
            radius_m=radius_m,
            days=days,
            incidents=incidents,
            place=place,
            **FAMILIES[name],
        )
        for place, incidents, days, radius_m in product(
            Busyness, INCIDENTS, WEEKS_DAYS if "hours" in FAMILIES[name] else DAYS, RADII_M
        )
    )
