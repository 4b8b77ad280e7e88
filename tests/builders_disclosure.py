"""Worlds of incidents and addresses, and alerts full of figures, for tests of what each audience may see."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

import numpy as np
from shapely import MultiPolygon, Polygon

from alerts.disclosure import Discloser
from alerts.outline import disc, outline
from alerts.publication import Publication
from processors.grid import Grid
from processors.localtime import LocalHours
from schemas.alert import Alert, Compared, Polygons, Spell, UnitWeek
from schemas.detection import DAY_S, Detection
from schemas.disclosure import Audience, Disclosed
from schemas.located import LOCATED, Kind, LocatedArray
from tests.builders import GUILDHALL_CELL, NOW, alert, detection, hampshire
from tests.builders_processors import MONDAY

OTHERS: Final[tuple[Audience, ...]] = ("police", "partnership", "public")
"""All audiences but health."""
GRID: Final = Grid(hampshire())
LOCAL: Final = LocalHours(hampshire().zone)
MERGE_S: Final = 3_600
IX, IY = GUILDHALL_CELL
#: Each cell has addresses enough.
FULL = Publication({(x, y): 8 for x in range(-16, 48) for y in range(-16, 48)})
#: Cells have fewer than that.
AROUND = Publication({(x, y): 3 for x in range(IX - 40, IX + 40) for y in range(IY - 40, IY + 40)})
KNOWN = Discloser(hampshire(), AROUND)


def records(counts: Mapping[tuple[int, int, int], int], kind: Kind = Kind.ED) -> LocatedArray:
    """So many incidents, two hours apart, in a cell and week (numbered from MONDAY)."""
    total = sum(counts.values())
    rows = np.zeros(total, LOCATED)
    rows["record"], rows["revision"], rows["weight"], rows["kind"] = np.arange(1, total + 1), 1, 1, kind
    n = 0
    for (x, y, week), count in counts.items():
        for k in range(count):
            rows["ix"][n], rows["iy"][n] = x, y
            rows["occurred"][n] = MONDAY + week * 7 * DAY_S + (k + 1) * 7_200
            n += 1
    return rows


def at(x: int, y: int, radius: int, week: float, days: float) -> Detection:
    """A window that ends in a week."""
    return detection(ix=x, iy=y, radius_cells=radius, span_s=int(days * DAY_S), as_of=int(MONDAY + week * 7 * DAY_S))


def full_alert(**fields: Any) -> Alert:
    """An alert with figures of both kinds wherever there may be any."""
    spell = Spell(NOW - timedelta(days=56), NOW, {"ed": 6, "police": 4}, {"ed": 0.31, "police": 0.2})
    given: dict[str, Any] = {
        "observed": {"ed": 6, "police": 4},
        "expected": {"ed": 0.231, "police": 0.5},
        "by_hour": {"ed": (6, *(0,) * 23), "police": (*(0,) * 20, 4, 0, 0, 0)},
        "compared": Compared(spell, spell, (spell,), {"ed": 0.31, "police": 0.5}),
        "alone_days": {"ed": 77.7, "police": 33.0},
        "kind_scores": {"ed": 3.3, "police": 5.0},
        "published": (UnitWeek("0/1767/448", "2026-W09", {"ed": 6, "police": 4}),),
        "place": "in Southampton",
        "grid_reference": "SU 418 121",
        "polygons": outline(disc(IX, IY, 1), GRID),
        "marking": "OFFICIAL-SENSITIVE",
        **fields,
    }
    return alert(**given)


def seen(one: Alert, audience: Audience, discloser: Discloser = KNOWN) -> Disclosed:
    """What an audience may see of an alert of which it may be told."""
    told = discloser.disclose(one, audience)
    assert told is not None
    return told


def as_polygons(polygons: Polygons) -> MultiPolygon:
    """As shapely has them."""
    return MultiPolygon([Polygon(rings[0], rings[1:]) for rings in polygons])
