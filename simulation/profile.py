"""The figures that simulated records follow; the defaults are those of Hampshire and the Isle of Wight."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

DAYS_PER_YEAR = 365.25


class Component(IntEnum):
    """The kinds of violence that differ in when and where they happen."""

    NIGHT = 0
    """Night-time economy: evenings before a day off, in town centres."""
    AFTERNOON = 1
    """After school: weekday afternoons, between centres and homes."""
    SPREAD = 2
    """The rest: any day, mostly from midday to midnight, near homes."""


#: Serious violence recorded in 2022 by category; together 5,049. The last two divide what the first four leave.
POLICE_CATEGORIES: dict[str, float] = {
    "possession of weapons": 1704,
    "robbery": 1281,
    "wounding": 1277,
    "homicide": 17,
    "violence with injury using a blade": 700,
    "violent disorder": 70,
}
#: Police categories whose victims may also come to an emergency department.
INJURING_CATEGORIES = ("robbery", "wounding", "homicide", "violence with injury using a blade")
#: What an offence becomes when it turns out that a knife was used.
BLADE_CATEGORY = "violence with injury using a blade"

#: How ED assaults were done. No published mix was found for Hampshire: an assumption.
ED_CATEGORIES: dict[str, float] = {
    "assault with body part": 0.56,
    "assault with blunt object": 0.12,
    "assault with sharp object": 0.09,
    "assault by pushing": 0.08,
    "assault by other means": 0.15,
}

#: Where it happened, by component: an assumption.
LOCATION_TYPES: dict[str, tuple[float, float, float]] = {
    "street": (0.40, 0.45, 0.36),
    "licensed premises": (0.42, 0.01, 0.05),
    "home": (0.03, 0.05, 0.36),
    "public transport": (0.06, 0.12, 0.05),
    "park": (0.04, 0.17, 0.09),
    "shop": (0.05, 0.12, 0.09),
    "school": (0.00, 0.08, 0.00),
}
#: Locations of EDs are not missing at random: a pub has a name, a home is seldom given. Relative, by location type.
MAPPABLE_LIKELIHOOD: dict[str, float] = {
    "street": 1.0,
    "licensed premises": 1.5,
    "home": 0.5,
    "public transport": 1.2,
    "park": 0.9,
    "shop": 1.3,
    "school": 1.4,
}

#: Fields of a profile that are parts of one.
SHARES = (
    "ed_mappable",
    "ed_known_to_police",
    "police_without_place",
    "institution_share",
    "station_share",
    "amended",
    "withdrawn",
    "season",
    "police_on_the_hour",
    "ed_on_the_hour",
    "ed_at_midnight",
    "late_batch",
)


@dataclass(frozen=True, kw_only=True)
class Profile:
    """Volumes, shares and delays. Shares are parts of one."""

    police_per_year: float = 5049.0
    ed_per_day: float = 12.0
    police_mix: tuple[float, float, float] = (0.42, 0.16, 0.42)
    """Parts of police incidents by component: night, afternoon, spread."""
    ed_mix: tuple[float, float, float] = (0.50, 0.10, 0.40)
    ed_mappable: float = 0.31
    ed_known_to_police: float = 0.25
    """Part of ED attendances whose assault the police also record."""
    police_without_place: float = 0.10
    institution_share: float = 0.004
    """Part of the located records placed at a hospital, prison or police station of the region file."""
    station_share: float = 0.004
    """Part of police records placed at a police station that the region file does not list."""
    amended: float = 0.06
    withdrawn: float = 0.015
    """Part of police incidents that are later withdrawn ("no-crimed")."""
    season: float = 0.08
    """Half the swing of the year, highest in July."""
    dispersion_shape: float = 25.0
    """Shape of the gamma factor by week and district; smaller is wilder."""
    police_on_the_hour: float = 0.15
    ed_on_the_hour: float = 0.30
    ed_at_midnight: float = 0.03
    """Part of ED times that are a default of 00:00."""
    late_batch: float = 0.015
    """Part of the daily ED batches that come a day late."""

    def __post_init__(self) -> None:
        for name in ("police_mix", "ed_mix"):
            if abs(sum(getattr(self, name)) - 1.0) > 1e-9:
                raise ValueError(f"{name} must add up to one")
        for name in SHARES:
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name} must lie between 0 and 1")
        if self.police_per_year < 0 or self.ed_per_day < 0 or self.dispersion_shape <= 0:
            raise ValueError("volumes must not be negative, and dispersion_shape must be positive")


HAMPSHIRE = Profile()
