"""Simulated records of one region as its partners send them: late, amended, withdrawn, and with hotspots among them.

Nothing but what a round asks for: realistic figures are the business of `simulation`, which takes longer to draw them.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from schemas.located import Kind
from schemas.region import RegionFile, Source

#: Long ago, so that no jump of a worker's clock makes a record one of the future.
START = datetime(2023, 1, 2, tzinfo=UTC)
PER_DAY = {Kind.POLICE: 5.0, Kind.ED: 2.0}
SPOTS = 60
#: Metres of the National Grid, in and around Southampton.
AROUND, SPREAD_M = (441_000.0, 113_000.0), 6_000.0
#: By hour of the day: quiet mornings, busy nights.
BY_HOUR = (5, 4, 3, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 4, 4, 5, 6, 6)
AMENDED, WITHDRAWN, WITHOUT_PLACE, LATE = 0.08, 0.02, 0.06, 0.08
HOTSPOTS, HOT_COUNT = 3, 9
#: Of each hotspot every so many records are taken back: all of the first, half of the second, none of the third.
TAKEN_BACK = (1, 2, 0)
TAKEN_BACK_AFTER = timedelta(hours=20)
_TYPES = {Kind.ED: "hotspot.ed.attendance", Kind.POLICE: "hotspot.police.incident"}

Event = dict[str, Any]


class Item(NamedTuple):
    """One event on its way to the log."""

    recorded_at: datetime
    kind: Kind
    region: str
    key: bytes
    event: Event


def draw_items(choice: random.Random, region: RegionFile, days: int) -> Iterator[Item]:
    """All revisions of the records of some days, in no order."""
    spots = [(_near(choice, AROUND[0], SPREAD_M), _near(choice, AROUND[1], SPREAD_M)) for _ in range(SPOTS)]
    busy = [choice.gammavariate(0.7, 1.0) for _ in spots]
    number = 0
    for kind, per_day in PER_DAY.items():
        sources = [source for source in region.sources if source.kind_code is kind]
        for _ in range(round(per_day * days)):
            number += 1
            at = START + timedelta(days=choice.randrange(days), seconds=choice.randrange(3600))
            at += timedelta(hours=choice.choices(range(24), BY_HOUR)[0])
            yield from _record(choice, region, choice.choice(sources), number, at, choice.choices(spots, busy)[0])
    for hotspot in range(HOTSPOTS):
        begins = START + timedelta(days=days - 8 + 2 * hotspot, hours=choice.randrange(12))
        yield from _hotspot(choice, region, hotspot, begins)


def _record(
    choice: random.Random, region: RegionFile, source: Source, number: int, at: datetime, spot: tuple[float, float]
) -> Iterator[Item]:
    police = source.kind_code is Kind.POLICE
    delay = timedelta(minutes=choice.expovariate(1 / (90 if police else 600)) + 5)
    if choice.random() < LATE:
        delay += timedelta(days=choice.uniform(1, 12))
    place: Event | None = {"easting": _near(choice, spot[0], 80), "northing": _near(choice, spot[1], 80)}
    if choice.random() < WITHOUT_PLACE:
        place = None
    recorded = at + delay
    yield _revision(region, source, f"SIM-{number}", 1, "recorded", at, recorded, place)
    if choice.random() < AMENDED:
        recorded += timedelta(hours=choice.uniform(1, 100))
        place = {"easting": _near(choice, spot[0], 900), "northing": _near(choice, spot[1], 900)}
        at -= timedelta(minutes=choice.randrange(200))
        yield _revision(region, source, f"SIM-{number}", 2, "amended", at, recorded, place)
    if choice.random() < WITHDRAWN:
        recorded += timedelta(hours=choice.uniform(1, 100))
        yield _revision(region, source, f"SIM-{number}", 3, "withdrawn", at, recorded, None)


def _hotspot(choice: random.Random, region: RegionFile, number: int, begins: datetime) -> Iterator[Item]:
    x, y = _near(choice, AROUND[0], SPREAD_M), _near(choice, AROUND[1], SPREAD_M)
    for nth in range(HOT_COUNT):
        source = choice.choice(region.sources)
        at = begins + timedelta(hours=2 * nth, minutes=choice.randrange(60))
        recorded = at + timedelta(minutes=choice.randrange(10, 90))
        place = {"easting": _near(choice, x, 100), "northing": _near(choice, y, 100)}
        ident = f"HOT-{number}-{nth}"
        yield _revision(region, source, ident, 1, "recorded", at, recorded, place)
        every = TAKEN_BACK[number % len(TAKEN_BACK)]
        if every and nth % every == 0:
            yield _revision(region, source, ident, 2, "withdrawn", at, recorded + TAKEN_BACK_AFTER, None)


def _near(choice: random.Random, metres: float, spread_m: float) -> float:
    return round(choice.gauss(metres, spread_m), 1)


def _revision(
    region: RegionFile,
    source: Source,
    record: str,
    revision: int,
    status: str,
    at: datetime,
    recorded: datetime,
    place: Event | None,
) -> Item:
    at, recorded = at.replace(microsecond=0), recorded.replace(microsecond=0)
    data: Event = {"record_id": record, "revision": revision, "recorded_at": recorded.isoformat()}
    if status != "withdrawn":
        data["occurred_at"] = at.isoformat()
        data["location_type"] = "street"
        if source.kind_code is Kind.POLICE:
            data["category"] = "robbery"
        else:
            data |= {"site_code": "RHM01", "assault_method": "body part", "arrived_at": at.isoformat()}
        if place is not None:
            data["place"] = place
    event = {
        "specversion": "1.0",
        "id": f"{record}:{revision}",
        "source": source.id,
        "type": f"{_TYPES[source.kind_code]}.{status}.v1",
        "data": data,
    }
    return Item(recorded, source.kind_code, region.id, f"{source.id}/{record}".encode(), event)
