"""The charts over time: what was opened when, and what was expected against what came."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from markupsafe import Markup

from evaluation.report import words
from evaluation.report.found import Curve
from paper.svg import (
    BLUE,
    GREY,
    INK,
    ORANGE,
    PALE,
    PLUM,
    RULE,
    TEAL,
    Axis,
    line,
    mark,
    picture,
    rect,
    steps,
    tag,
    text,
)
from schemas.backtest import Episode
from schemas.heldout import Part

WIDTH: Final = 720
LEFT: Final = 44
RIGHT: Final = 12
MONTH_DAYS: Final = 28
#: Shape and colour by which kind of record drives an episode.
EVIDENCE: Final = {"police_only": ("circle", BLUE), "ed_only": ("triangle", PLUM), "both": ("square", TEAL)}
OTHER: Final = ("diamond", GREY)


class Opened(NamedTuple):
    """Episodes opened in 28 days from some day on, or in what is left of the period."""

    since: date
    days: int
    n: int


def openings(opened: Sequence[datetime], first: date, last: date, zone: ZoneInfo) -> list[Opened]:
    """How many opened in each 28 days of the period."""
    length = (last - first).days + 1
    found = [0] * -(-length // MONTH_DAYS)
    for when in opened:
        at = (when.astimezone(zone).date() - first).days
        found[min(max(at // MONTH_DAYS, 0), len(found) - 1)] += 1
    return [
        Opened(first + timedelta(n * MONTH_DAYS), min(MONTH_DAYS, length - n * MONTH_DAYS), of)
        for n, of in enumerate(found)
    ]


def openings_chart(key: str, found: Sequence[Opened], budget: float) -> Markup:
    """Bars of episodes opened in each 28 days, and a line at the budget."""
    height, bottom, top = 210, 172, 26
    ticks = steps(max(budget, *(of.n for of in found)), 4, least=1.0)
    up = Axis(0, ticks[-1], bottom, top)
    across = Axis(0, len(found), LEFT, WIDTH - RIGHT)
    wide = (WIDTH - RIGHT - LEFT) / len(found)
    parts = [text(LEFT, 14, "Episodes opened in 28 days", size=12, fill=GREY)]
    for tick in ticks:
        parts += [line(LEFT, up(tick), WIDTH - RIGHT, up(tick), PALE)]
        parts += [text(LEFT - 6, up(tick) + 4, words.number(tick), "end", 12, GREY)]
    every = -(-len(found) // 9)
    for n, of in enumerate(found):
        whole = of.days == MONTH_DAYS
        gap = min(wide * 0.12, 6)
        box = (across(n) + gap, up(of.n), wide * of.days / MONTH_DAYS - 2 * gap, bottom - up(of.n))
        parts.append(rect(*box, BLUE) if whole else rect(*box, "#FFFFFF", BLUE))
        if n % every == 0 and across(n) < WIDTH - RIGHT - 40:
            parts.append(line(across(n), bottom, across(n), bottom + 4, GREY))
            parts.append(text(across(n), bottom + 17, words.short_day(of.since), "start", 11, GREY))
    parts += [line(LEFT, bottom, WIDTH - RIGHT, bottom, INK)]
    parts += [line(LEFT, up(budget), WIDTH - RIGHT, up(budget), ORANGE, 2, "6 4")]
    name = f"budget: {words.number(budget)} false ones"
    parts += [line(WIDTH - RIGHT - 190, 10, WIDTH - RIGHT - 156, 10, ORANGE, 2, "6 4")]
    parts += [text(WIDTH - RIGHT - 150, 14, name)]
    title = "Episodes opened in each 28 days, against the budget"
    most = max(found, key=lambda of: of.n)
    told = (
        f"{len(found)} bars from {words.day(found[0].since)}. The most, {most.n}, opened in the 28 days from "
        f"{words.day(most.since)}. A dashed line marks the budget of {words.number(budget)}."
    )
    return picture(key, title, told, WIDTH, height, parts)


class Bar(NamedTuple):
    """An episode in the calendar: number, first and last day, and what drives it."""

    number: int
    begin: datetime
    end: datetime
    evidence: str
    still_open: bool


def bars(episodes: Sequence[Episode], last: date, zone: ZoneInfo) -> list[Bar]:
    """Episodes as bars, in the region's time; one that was still open ends with the period."""
    end = datetime(last.year, last.month, last.day, tzinfo=zone) + timedelta(days=1)
    return [
        Bar(n, e.opened.astimezone(zone), (e.closed or end).astimezone(zone), e.evidence, e.closed is None)
        for n, e in enumerate(episodes, start=1)
    ]


def calendar_chart(key: str, episodes: Sequence[Bar], first: date, last: date, numbered: bool) -> Markup:
    """A row for each year: each episode from its opening to its close, in lanes where several were open at once."""
    lane, head, gap = (20.0 if numbered else 13.0), 24.0, 12.0
    across = Axis(0, 366, LEFT, WIDTH - RIGHT)
    parts: list[Markup] = []
    y = head
    marks = {at: words.MONTHS[at.month - 1][:3] for at in (date(2000, n, 1) for n in range(1, 13))}
    for year in range(first.year, last.year + 1):
        mine = [bar for bar in episodes if bar.begin.year <= year <= bar.end.year]
        lanes = _lanes(mine, year, 7.0 if numbered else 2.5)
        tall = lane * max(max((n for n, _ in lanes), default=-1) + 1, 1) + 6
        inside = [max(first, date(year, 1, 1)), min(last, date(year, 12, 31))]
        from_x, to_x = across(inside[0].timetuple().tm_yday - 1), across(inside[1].timetuple().tm_yday)
        parts += [rect(from_x, y, to_x - from_x, tall, "#FFFFFF", RULE)]
        parts += [text(LEFT - 6, y + tall / 2 + 4, str(year), "end", 12)]
        for at in marks:
            parts.append(
                line(across(at.timetuple().tm_yday - 1), y, across(at.timetuple().tm_yday - 1), y + tall, RULE)
            )
        for n, bar in lanes:
            parts += _bar(bar, year, across, y + 3 + lane * n + lane * (0.72 if numbered else 0.5), numbered)
        y += tall + gap
    names = [text(across(at.timetuple().tm_yday + 14), 14, name, "middle", 12, GREY) for at, name in marks.items()]
    title = "When episodes were open"
    told = (
        f"A row for each year from {first.year} to {last.year}; {words.plural(len(episodes), 'bar')} from opening to "
        "close, with a mark at the opening. The table of episodes has the same dates."
    )
    return picture(key, title, told, WIDTH, y, [*names, *parts])


def _lanes(mine: Sequence[Bar], year: int, least_days: float) -> list[tuple[int, Bar]]:
    free: list[float] = []
    found = []
    for bar in mine:
        begin, end = _within(bar, year)
        n = next((n for n, until in enumerate(free) if until <= begin), len(free))
        free[n : n + 1] = [max(end, begin + least_days) + 1.5]
        found.append((n, bar))
    return found


def _within(bar: Bar, year: int) -> tuple[float, float]:
    begin = 0.0 if bar.begin.year < year else bar.begin.timetuple().tm_yday - 1 + bar.begin.hour / 24
    end = 366.0 if bar.end.year > year else bar.end.timetuple().tm_yday - 1 + bar.end.hour / 24
    return begin, end


def _bar(bar: Bar, year: int, across: Axis, y: float, numbered: bool) -> list[Markup]:
    begin, end = _within(bar, year)
    shape, colour = EVIDENCE.get(bar.evidence, OTHER)
    parts = [line(across(begin), y, max(across(end), across(begin) + 1), y, colour, 4)]
    if bar.begin.year == year:
        parts.append(mark(shape, across(begin), y, 8, colour))
        if numbered:
            parts.append(text(across(begin) - 3, y - 5.5, str(bar.number), size=10))
    return parts


def counts_chart(key: str, title: str, parts_of: Sequence[Part], names: Sequence[str], within: float) -> Markup:
    """Expected counts as grey bars, observed ones as dots; a diamond where they are further apart than `within`."""
    height, bottom, top = 230, 190, 30
    most = max([1.0, *(max(part.observed, part.expected) for part in parts_of)])
    ticks = steps(most, 4, least=1.0)
    up = Axis(0, ticks[-1], bottom, top)
    wide = (WIDTH - RIGHT - LEFT) / len(parts_of)
    parts = [text(LEFT, 16, "Incidents", size=12, fill=GREY)]
    for tick in ticks:
        parts += [line(LEFT, up(tick), WIDTH - RIGHT, up(tick), PALE)]
        parts += [text(LEFT - 6, up(tick) + 4, words.number(tick), "end", 12, GREY)]
    every = max(1, -(-len(parts_of) // 12))
    dots = []
    for n, (part, name) in enumerate(zip(parts_of, names, strict=True)):
        x = LEFT + wide * (n + 0.5)
        bar = min(wide * 0.7, 34)
        parts.append(rect(x - bar / 2, up(part.expected), bar, bottom - up(part.expected), "#DDE1E4", GREY))
        far = part.ratio is not None and abs(part.ratio - 1) > within
        dots.append(
            mark("diamond", x, up(part.observed), 9, PLUM) if far else mark("circle", x, up(part.observed), 7, BLUE)
        )
        if n % every == 0:
            parts.append(text(x, bottom + 17, name, "middle", 11, GREY))
    parts += [line(LEFT, bottom, WIDTH - RIGHT, bottom, INK), *dots]
    key_y = 12
    parts += [rect(WIDTH - 408, key_y - 8, 14, 10, "#DDE1E4", GREY), text(WIDTH - 390, key_y + 2, "expected")]
    parts += [mark("circle", WIDTH - 322, key_y - 2, 7, BLUE), text(WIDTH - 312, key_y + 2, "observed")]
    limit = f"observed, further off than {words.percent(within)}"
    parts += [mark("diamond", WIDTH - 246, key_y - 2, 9, PLUM), text(WIDTH - 236, key_y + 2, limit)]
    off = sum(part.ratio is not None and abs(part.ratio - 1) > within for part in parts_of)
    told = (
        f"Expected counts as bars and observed counts as dots in {len(parts_of)} parts; {off} of them are further off "
        f"than {words.percent(within)}. The table of the figures has each."
    )
    return picture(key, title, told, WIDTH, height, parts)


#: Colour and dashes by which methods are known; more than these have the last.
STROKES: Final = ((BLUE, None), (PLUM, None), (TEAL, "7 3"), (ORANGE, "2 3"), (GREY, None), (INK, "8 3 2 3"))


def found_chart(key: str, curves: Sequence[Curve]) -> Markup:
    """The part of all planted hotspots that each method had found by so many days after their begin."""
    height, bottom, top, right = 270, 226, 30, 230
    most = steps(max(curve.days[-1] for curve in curves), 7)
    across, up = Axis(0, most[-1], LEFT, WIDTH - right), Axis(0, 1, bottom, top)
    parts = [text(LEFT, 14, "Found of all planted", size=12, fill=GREY)]
    for part in (0.0, 0.25, 0.5, 0.75, 1.0):
        parts += [line(LEFT, up(part), WIDTH - right, up(part), PALE)]
        parts += [text(LEFT - 6, up(part) + 4, words.percent(part), "end", 12, GREY)]
    for tick in most:
        parts += [line(across(tick), bottom, across(tick), bottom + 4, GREY)]
        parts += [text(across(tick), bottom + 17, words.number(tick), "middle", 12, GREY)]
    parts += [line(LEFT, bottom, WIDTH - right, bottom, INK)]
    parts += [text((LEFT + WIDTH - right) / 2, bottom + 34, "Days since the begin of the hotspot", "middle", 12, GREY)]
    for n, curve in reversed(list(enumerate(curves))):
        colour, dash = STROKES[min(n, len(STROKES) - 1)]
        corners = [f"M{across(0):.1f} {up(0):.1f}"]
        for found, days in enumerate(curve.days, start=1):
            corners.append(f"H{across(days):.1f}V{up(found / curve.planted):.1f}")
        corners.append(f"H{across(most[-1]):.1f}")
        wide = 3.0 if n == 0 else 1.6
        parts.append(
            tag("path", d="".join(corners), fill="none", stroke=colour, stroke_width=wide, stroke_dasharray=dash)
        )
    ends = _apart([up(len(curve.days) / curve.planted) for curve in curves], 15, top, bottom)
    for n, (curve, y) in enumerate(zip(curves, ends, strict=True)):
        colour, dash = STROKES[min(n, len(STROKES) - 1)]
        at = up(len(curve.days) / curve.planted)
        parts.append(line(WIDTH - right + 1, at, WIDTH - right + 14, y, RULE))
        parts.append(line(WIDTH - right + 16, y, WIDTH - right + 40, y, colour, 3 if n == 0 else 1.6, dash))
        parts.append(text(WIDTH - right + 45, y + 4, curve.name))
    told = "; ".join(
        f"{curve.name}: {words.percent(len(curve.days) / curve.planted)} in the end, half of these within "
        f"{words.days(curve.days[(len(curve.days) - 1) // 2])}"
        for curve in curves
    )
    title = "Part of the planted hotspots found by so many days after their begin (simulated)"
    return picture(key, title, f"{told}.", WIDTH, height, parts)


def _apart(wanted: Sequence[float], gap: float, top: float, bottom: float) -> list[float]:
    """The same heights, moved so that none is nearer to the next than `gap`, as far as there is room."""
    order = sorted(range(len(wanted)), key=lambda n: (wanted[n], n))
    room = bottom - gap * (len(wanted) - 1)
    found = [0.0] * len(wanted)
    least = top
    for place, n in enumerate(order):
        found[n] = least = max(least, min(wanted[n], room + gap * place))
        least += gap
    return found


def key_of_evidence(found: Sequence[str], split: Sequence[str] = ()) -> Markup:
    """The marks of the kinds of evidence that there are, with their names; `split` names kinds that are simulated."""
    labels = {name: words.name_of(name) + _simulated(name, split) for name in found}
    shown = [name for name in [*EVIDENCE, *sorted(set(found) - set(EVIDENCE))] if name in found]
    parts, x = [], 8.0
    for name in shown:
        shape, colour = EVIDENCE.get(name, OTHER)
        parts += [mark(shape, x, 8, 10, colour), text(x + 10, 12, labels[name])]
        x += 40 + 7 * len(labels[name])
    look = {"xmlns": "http://www.w3.org/2000/svg", "viewBox": f"0 0 {WIDTH} 16", "class_": "chart", "role": "img"}
    name = "Key: " + ", ".join(f"{EVIDENCE.get(n, OTHER)[0]}: {labels[n]}" for n in shown)
    return tag("svg", Markup("").join([tag("title", name), *parts]), **look, aria_label=name)


def _simulated(evidence: str, split: Sequence[str]) -> str:
    kinds = [kind for kind in split if evidence in ("both", f"{kind}_only")]
    return f" ({words.listed([words.name_of(kind) for kind in kinds])} simulated)" if kinds else ""
