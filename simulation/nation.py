"""Simulated partnerships of England and Wales: a region for each police force, its size true to the force, no place.

Names are those of the 43 territorial forces. Populations (mid-2022) and areas are approximate, as remembered from
published figures: they say how sizes spread, from the City of London to the Metropolitan Police, and no more.
"""

from __future__ import annotations

from dataclasses import replace
from math import cos, radians, sqrt
from typing import Final, NamedTuple

from schemas.region import Bounds, RegionFile, Source
from simulation.profile import DAYS_PER_YEAR, HAMPSHIRE, Profile

#: Records of all forces together, a year: police-recorded violence and ED attendances.
RECORDS_PER_YEAR: Final = 2_200_000
#: Part of them that EDs send: about 200,000 attendances for assault a year, an assumption.
ED_PART: Final = 0.1
#: So many thousand people have an ED between them: about 180 in all, as there are large ones.
PEOPLE_AN_ED_K: Final = 330
CELL_M: Final = 500
#: All regions lie around one point of the North Sea, where nobody takes their places for real ones. Each has a grid of
#: its own, so that they do not meet.
LONGITUDE, LATITUDE = 3.0, 54.5
CRS: Final = "EPSG:32631"
METRES_A_DEGREE: Final = 111_300.0


class Force(NamedTuple):
    """A police force and the size of what it looks after."""

    id: str
    name: str
    population_k: float
    """Thousands of residents."""
    area_km2: float


def _force(name: str, population_k: float, area_km2: float) -> Force:
    return Force(name.lower().replace(" ", "-"), name, population_k, area_km2)


FORCES: Final = (
    _force("Avon and Somerset", 1_740, 4_780),
    _force("Bedfordshire", 710, 1_235),
    _force("Cambridgeshire", 900, 3_390),
    _force("Cheshire", 1_100, 2_340),
    _force("City of London", 9, 2.9),
    _force("Cleveland", 570, 600),
    _force("Cumbria", 500, 6_770),
    _force("Derbyshire", 1_060, 2_625),
    _force("Devon and Cornwall", 1_780, 10_270),
    _force("Dorset", 780, 2_650),
    _force("Durham", 640, 2_430),
    _force("Dyfed-Powys", 520, 10_980),
    _force("Essex", 1_880, 3_670),
    _force("Gloucestershire", 650, 3_150),
    _force("Greater Manchester", 2_900, 1_276),
    _force("Gwent", 590, 1_550),
    _force("Hampshire and Isle of Wight", 2_020, 4_150),
    _force("Hertfordshire", 1_200, 1_643),
    _force("Humberside", 940, 3_520),
    _force("Kent", 1_880, 3_740),
    _force("Lancashire", 1_550, 3_080),
    _force("Leicestershire", 1_130, 2_540),
    _force("Lincolnshire", 770, 5_920),
    _force("Merseyside", 1_440, 650),
    _force("Metropolitan Police", 8_850, 1_570),
    _force("Norfolk", 920, 5_370),
    _force("North Wales", 690, 6_170),
    _force("North Yorkshire", 830, 8_310),
    _force("Northamptonshire", 790, 2_360),
    _force("Northumbria", 1_470, 5_550),
    _force("Nottinghamshire", 1_170, 2_160),
    _force("South Wales", 1_340, 2_070),
    _force("South Yorkshire", 1_390, 1_550),
    _force("Staffordshire", 1_140, 2_710),
    _force("Suffolk", 770, 3_800),
    _force("Surrey", 1_210, 1_660),
    _force("Sussex", 1_730, 3_780),
    _force("Thames Valley", 2_540, 5_740),
    _force("Warwickshire", 610, 1_975),
    _force("West Mercia", 1_310, 7_410),
    _force("West Midlands", 2_930, 900),
    _force("West Yorkshire", 2_360, 2_030),
    _force("Wiltshire", 750, 3_485),
)


def share_of(force: Force) -> float:
    """The part of all records that is this force's: that of its people."""
    return force.population_k / sum(other.population_k for other in FORCES)


def region_of(force: Force) -> RegionFile:
    """A square as large as the force's area, with its police and its EDs; all of it made up but the name."""
    half = sqrt(force.area_km2 * 1e6) / 2 / METRES_A_DEGREE
    half_wide = half / cos(radians(LATITUDE))
    sites = max(1, round(force.population_k / PEOPLE_AN_ED_K))
    return RegionFile(
        id=force.id,
        name=f"{force.name} (simulated)",
        crs=CRS,
        cell_m=CELL_M,
        timezone="Europe/London",
        holidays="GB-ENG",
        bounds=Bounds(
            west=LONGITUDE - half_wide, east=LONGITUDE + half_wide, south=LATITUDE - half, north=LATITUDE + half
        ),
        sources=(
            Source(id=f"{force.id}/police", kind="police", name=f"{force.name}, police (simulated)"),
            *(
                Source(id=f"{force.id}/ed/SIM{number:02d}", kind="ed", name=f"{force.name}, ED {number} (simulated)")
                for number in range(1, sites + 1)
            ),
        ),
    )


def profile_of(force: Force, records_per_year: float = RECORDS_PER_YEAR) -> Profile:
    """What its sources record, of so many records of all forces together; delays and mixes are those of Hampshire."""
    own = records_per_year * share_of(force)
    return replace(HAMPSHIRE, police_per_year=own * (1 - ED_PART), ed_per_day=own * ED_PART / DAYS_PER_YEAR)
