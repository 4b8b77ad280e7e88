"""What of an alert each audience may see; pure, and the only way by which an alert leaves for who may not see it all.

Figures of health come from `Alert.published` alone: tiles and weeks, each rounded once. Everything that depends on
exact figures of health in another way (score, recurrence interval, p-value, hours, comparisons) is left out, and
headline and text are made from what is left.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from math import floor
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from alerts.disclosed_wording import worded
from alerts.outline import outline
from alerts.places import Namer
from alerts.publication import Publication, Unit
from processors.grid import Grid
from schemas.alert import Alert, Compared, Polygons, Spell, UnitWeek, Window
from schemas.disclosure import Audience, Disclosed, ShownCount
from schemas.region import RegionFile

#: From one up to so many, a count of health is not told.
MOST_SUPPRESSED: Final = 7
#: Larger ones are told to the nearest multiple of this.
ROUNDED_TO: Final = 5
#: Kinds whose counts an audience may see as they are, and kinds whose counts it may see rounded.
EXACT: Final[Mapping[Audience, tuple[str, ...]]] = {
    "health": ("ed", "police"),
    "police": ("police",),
    "partnership": ("police",),
    "public": (),
}
ROUNDED: Final[Mapping[Audience, tuple[str, ...]]] = {
    "health": (),
    "police": ("ed",),
    "partnership": ("ed",),
    "public": ("police",),
}
_PUBLIC_HANDLING: Final = "It is about places, not about people, and says nothing of health records."


class Where(NamedTuple):
    """The place of an alert as an audience may see it."""

    place: str
    grid_reference: str
    polygons: Polygons
    addresses: int | None


def shown(count: int) -> ShownCount:
    """One count of one tile and week, rounded: none, `1 to 7`, or the nearest multiple of five."""
    if count <= 0:
        return ShownCount(0, 0, "none")
    if count <= MOST_SUPPRESSED:
        return ShownCount(1, MOST_SUPPRESSED, f"1 to {MOST_SUPPRESSED}")
    near = ROUNDED_TO * round(count / ROUNDED_TO)
    least = max(near - ROUNDED_TO // 2, MOST_SUPPRESSED + 1)
    return ShownCount(least, near + ROUNDED_TO // 2, f"about {near}")


def together(counts: Sequence[ShownCount]) -> ShownCount:
    """The sum of rounded counts, of which nothing more is known than of each."""
    some = [count for count in counts if count.high]
    if len(some) < 2:
        return some[0] if some else shown(0)
    low, high = sum(count.low for count in some), sum(count.high for count in some)
    return ShownCount(low, high, f"{low} to {high}")


class Discloser:
    """Of one region: what each audience may see. The same alert is always told in the same words."""

    def __init__(self, region: RegionFile, publication: Publication) -> None:
        self._zone, self._publication = region.zone, publication
        self._grid = Grid(region)
        self._namer = Namer(region, self._grid)
        self._outlines: dict[tuple[Unit, ...], Polygons] = {}

    def disclose(self, alert: Alert, audience: Audience) -> Disclosed | None:
        """One revision for one audience; None where it may not be told of it at all.

        The public is told only of what police records alone show, and of nothing that is muted.
        """
        if audience == "public" and (alert.evidence != "police_only" or alert.muted):
            return None
        where = self._where(alert, audience)
        return worded(_told(alert, audience, where, self._zone), self._zone)

    def _where(self, alert: Alert, audience: Audience) -> Where:
        """Others than health get whole tiles, and no centre of the window."""
        if audience == "health":
            return Where(alert.place, alert.grid_reference, alert.polygons, None)
        publication, grid = self._publication, self._grid
        units = publication.units_of(*disc_of(alert.window, grid))
        wide = publication.enough(units) if publication.is_known else ()
        of = wide or units
        x, y = (sum((2 * u.corner[axis] + (1 << u.level)) / 2 for u in of) / len(of) for axis in (0, 1))
        named = self._namer.name(x * grid.cell_m, y * grid.cell_m, coarse=True)
        if not wide:
            return Where(*named, (), None)
        if wide not in self._outlines:
            self._outlines[wide] = outline([cell for unit in wide for cell in unit.cells()], grid)
        return Where(*named, self._outlines[wide], publication.addresses(wide))


def _told(alert: Alert, audience: Audience, where: Where, zone: ZoneInfo) -> Disclosed:
    exact = EXACT[audience]
    people = audience != "public"
    return Disclosed(
        audience=audience,
        episode_id=alert.episode_id,
        revision=alert.revision,
        state=alert.state,
        reason=alert.reason,
        region=alert.region,
        region_name=alert.region_name,
        opened_at=alert.opened_at if people else _day(alert.opened_at, zone),
        as_of=alert.as_of if people else _day(alert.as_of, zone),
        start=alert.window.start if people else _day(alert.window.start, zone),
        end=alert.window.end if people else _day(alert.window.end, zone) + timedelta(days=1),
        hours=alert.window.hours,
        place=where.place,
        grid_reference=where.grid_reference,
        polygons=where.polygons,
        addresses=where.addresses,
        counts=_counts(alert, audience),
        usual={name: alert.expected[name] for name in exact},
        evidence=alert.evidence if people else None,
        alone_days={name: alert.alone_days[name] for name in exact if name in alert.alone_days},
        by_hour={name: alert.by_hour[name] for name in exact if name in alert.by_hour},
        compared=_compared(alert.compared, exact),
        not_known=alert.not_known if people else (),
        state_since=alert.state_since if people else None,
        history=alert.history if people else (),
        split_from=alert.split_from if people else "",
        merged_into=alert.merged_into if people else "",
        absorbed=alert.absorbed if people else (),
        people=alert.people if people else type(alert.people)(),
        muted=alert.muted,
        muted_until=alert.muted_until if people else None,
        review_at=alert.review_at if people else None,
        expires_at=alert.expires_at,
        marking=alert.marking if people else "OFFICIAL",
        handling=alert.handling if people else _PUBLIC_HANDLING,
        simulated=alert.simulated,
        links=alert.links if people else (),
        attribution=alert.attribution,
        headline="",
        paragraphs=(),
    )


def disc_of(window: Window, grid: Grid) -> tuple[int, int, int]:
    """Centre cell and radius of a window, in cells."""
    ix, iy = (floor(metres / grid.cell_m) for metres in (window.easting, window.northing))
    return ix, iy, round(window.radius_m / grid.cell_m - 0.5)


def _counts(alert: Alert, audience: Audience) -> dict[str, ShownCount]:
    counts = {name: ShownCount(count, count, str(count)) for name, count in alert.observed.items()}
    told = {name: counts[name] for name in EXACT[audience]}
    return told | {name: _rounded(alert.published, name) for name in ROUNDED[audience]}


def _rounded(published: Sequence[UnitWeek], kind: str) -> ShownCount:
    return together([shown(one.observed.get(kind, 0)) for one in published])


def _compared(compared: Compared | None, exact: tuple[str, ...]) -> Compared | None:
    if compared is None or not exact:
        return None

    def only(spell: Spell) -> Spell:
        return Spell(
            spell.start,
            spell.end,
            {name: spell.observed[name] for name in exact},
            {name: spell.per_window[name] for name in exact},
        )

    return Compared(
        last_8_weeks=only(compared.last_8_weeks) if compared.last_8_weeks else None,
        last_year=only(compared.last_year) if compared.last_year else None,
        weeks=tuple(only(week) for week in compared.weeks),
        usual_week={name: value for name, value in compared.usual_week.items() if name in exact},
    )


def _day(moment: datetime, zone: ZoneInfo) -> datetime:
    return moment.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)
