"""Observed against usual by week, as far as the audience may see counts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from zoneinfo import ZoneInfo

from markupsafe import Markup

from alerts.phrases import SOURCE_WORDS, listed, usual_words
from paper.svg import BLUE, GREY, INK, ORANGE, PALE, TEAL, Axis, line, picture, rect, steps, text
from schemas.alert import Compared, Spell

WIDTH: Final = 360.0
HEIGHT: Final = 285.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 30.0, 6.0, 34.0, 42.0
_COLOUR: Final = {"police": BLUE, "ed": TEAL}
_SHORT: Final = {"police": "police", "ed": "EDs"}


def weeks_chart(key: str, compared: Compared, zone: ZoneInfo) -> Markup:
    """Bars of the incidents of each week, kinds upon one another, and a line at what is usual in a week at present."""
    weeks, kinds = compared.weeks, sorted(compared.usual_week, reverse=True)
    usual = sum(compared.usual_week.values())
    most = max([usual, *(sum(week.observed.get(kind, 0) for kind in kinds) for week in weeks)])
    ticks = steps(most, 4, least=1.0)
    x, y = Axis(0, len(weeks), _LEFT, WIDTH - _RIGHT), Axis(0, ticks[-1], HEIGHT - _BOTTOM, _TOP)
    parts = [rect(0, 0, WIDTH, HEIGHT, "#FFFFFF")]
    for tick in ticks:
        parts += [line(_LEFT, y(tick), WIDTH - _RIGHT, y(tick), PALE), text(_LEFT - 5, y(tick) + 4, f"{tick:g}", "end")]
    for number, week in enumerate(weeks):
        parts += _bars(week, kinds, x(number), x(number + 1), y)
        if (len(weeks) - 1 - number) % 3 == 0:
            day = week.end.astimezone(zone)
            words = f"{day.day} {day:%b}"
            parts.append(text((x(number) + x(number + 1)) / 2, HEIGHT - _BOTTOM + 15, words, "middle", 11))
    parts += [
        line(_LEFT, y(0), WIDTH - _RIGHT, y(0), INK),
        text(WIDTH / 2, HEIGHT - 10, "week up to", "middle", 11, GREY),
    ]
    parts.append(line(_LEFT, y(usual), WIDTH - _RIGHT, y(usual), ORANGE, 2.2, "7 3"))
    parts += _key(kinds, usual)
    return picture(key, "Incidents by week, against what is usual", _told(weeks, kinds, usual), WIDTH, HEIGHT, parts)


def _bars(week: Spell, kinds: Sequence[str], left: float, right: float, y: Axis) -> list[Markup]:
    """One week: the lower kinds first; a light edge parts them without colour."""
    wide, below, parts = (right - left) * 0.72, 0, list[Markup]()
    at = (left + right - wide) / 2
    for kind in kinds:
        count = week.observed.get(kind, 0)
        if count:
            top = y(below + count)
            parts.append(rect(at, top, wide, y(below) - top, _COLOUR.get(kind, GREY), "#FFFFFF"))
            below += count
    if below:
        parts.append(text(at + wide / 2, y(below) - 3, str(below), "middle", 11))
    return parts


def _key(kinds: Sequence[str], usual: float) -> list[Markup]:
    parts, x = list[Markup](), 4.0
    for kind in kinds:
        words = _SHORT.get(kind, kind)
        parts += [rect(x, 6, 11, 11, _COLOUR.get(kind, GREY)), text(x + 16, 16, words)]
        x += 30 + 7 * len(words)
    words = f"usual: {usual_words(usual)} a week"
    return [*parts, line(x + 2, 12, x + 26, 12, ORANGE, 2.2, "7 3"), text(x + 32, 16, words)]


def _told(weeks: Sequence[Spell], kinds: Sequence[str], usual: float) -> str:
    counts = ", ".join(str(sum(week.observed.get(kind, 0) for kind in kinds)) for week in weeks)
    known = listed([SOURCE_WORDS.get(kind, kind) for kind in kinds])
    return f"Incidents known to {known} in each week, oldest first: {counts}. Usual in a week: {usual_words(usual)}."
