"""The document: what the templates are given, and sizes at which each episode takes exactly one page."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Callable
from datetime import datetime
from functools import cache
from importlib import resources
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from alerts.phrases import PART_WORDS, day_words, moment_words, span_words, usual_words
from paper.briefing.chart import weeks_chart
from paper.briefing.content import ENDED_WITHIN, Briefing
from paper.briefing.map import episode_map
from paper.pdf import page_count
from schemas.alert import Paragraph
from schemas.disclosure import Audience, Disclosed

AUDIENCES: Final[dict[Audience, str]] = {
    "health": "those with the permission for health data",
    "police": "the police",
    "partnership": "the partnership",
    "public": "anybody",
}
EXERCISE: Final = "SIMULATED: an exercise, never a real alert"
KINDS: Final = {"ed": "EDs", "police": "police"}
#: Sizes of letters, points: the largest at which a page holds its episode.
SIZES: Final = (9.6, 8.8, 8.0, 7.2)
#: Room for notes, millimetres: as much as is left at that size.
LEAST_NOTES: Final = 28
NOTES: Final = (34, 40, 46, 52, 60, 70, 80, 92, 105, 120)
#: A text that does not fit at the smallest size is cut to so many letters a paragraph.
CUTS: Final = (900, 500, 300, 160)
CUT_WORDS: Final = " … (shortened to fit the page; the alert has the whole text)"
_MOST_HEADLINE: Final = 420
#: More do not fit on a page at any size: laying them out would only take time.
_MOST_LETTERS: Final = 8_000
SUMMARY_SIZES: Final = (9.6, 8.6, 7.6, 6.8)


class Sheet(NamedTuple):
    """One episode as it is printed."""

    number: int
    told: Disclosed
    headline: str
    paragraphs: tuple[Paragraph, ...]
    map: Markup | None
    chart: Markup | None
    size: float = SIZES[0]
    notes: int = LEAST_NOTES

    @property
    def key(self) -> str:
        """Of its place in the document."""
        return f"episode-{self.number}"


def page(briefing: Briefing, progress: Callable[[int], None]) -> str:
    """The whole document; `progress` is told how many episodes have their page."""
    sheets = []
    for number, told in enumerate(briefing.opened, start=1):
        sheets.append(_fitted(_sheet(number, told, briefing), briefing))
        progress(number)
    size = next(
        (s for s in SUMMARY_SIZES[:-1] if page_count(_document(briefing, [], sheets, s)) == 1), SUMMARY_SIZES[-1]
    )
    return _document(briefing, sheets, sheets, size)


def _sheet(number: int, told: Disclosed, briefing: Briefing) -> Sheet:
    zone = briefing.around.region.zone
    drawn = episode_map(f"map-{number}", told.polygons, told.place, briefing.around) if told.polygons else None
    has_weeks = told.compared is not None and told.compared.weeks and told.compared.usual_week
    chart = weeks_chart(f"weeks-{number}", told.compared, zone) if told.compared and has_weeks else None
    return Sheet(number, told, told.headline, told.paragraphs, drawn, chart)


def _fitted(sheet: Sheet, briefing: Briefing) -> Sheet:
    """At the largest size that fits one page, with as much room for notes as that leaves."""

    def fits(tried: Sheet) -> bool:
        return page_count(_document(briefing, [tried], None, SUMMARY_SIZES[0])) == 1

    tries = [sheet._replace(size=size) for size in SIZES]
    tries += [_cut(tries[-1], most) for most in CUTS]
    chosen = next((tried for tried in tries if _letters(tried) <= _MOST_LETTERS and fits(tried)), tries[-1])
    most = bisect(NOTES, 0, key=lambda notes: not fits(chosen._replace(notes=notes)))
    return chosen._replace(notes=NOTES[most - 1]) if most else chosen


def _exercise(simulated: list[bool]) -> str:
    """What the summary says of all together."""
    if not any(simulated):
        return ""
    return EXERCISE if all(simulated) else "In part SIMULATED: see each episode"


def _letters(sheet: Sheet) -> int:
    return len(sheet.headline) + sum(len(paragraph.text) for paragraph in sheet.paragraphs)


def _cut(sheet: Sheet, most: int) -> Sheet:
    return sheet._replace(
        headline=_shortened(sheet.headline, min(most, _MOST_HEADLINE)),
        paragraphs=tuple(Paragraph(p.name, p.heading, _shortened(p.text, most)) for p in sheet.paragraphs),
    )


def _shortened(text: str, most: int) -> str:
    return text if len(text) <= most else text[:most].rstrip() + CUT_WORDS


def _document(briefing: Briefing, sheets: list[Sheet], listed: list[Sheet] | None, size: float) -> str:
    """`listed` are the rows of the summary; None for a document without one."""
    zone = briefing.around.region.zone
    css = resources.files("paper.briefing").joinpath("templates", "briefing.css").read_text(encoding="utf-8")
    everything = (*briefing.opened, *briefing.ended)
    region = briefing.around.region
    given: dict[str, Any] = {
        "css": Markup(css),  # noqa: S704 - a file of this package
        "briefing": briefing,
        "region": region,
        "sheets": sheets,
        "listed": listed,
        "summary_size": size,
        "ended_days": ENDED_WITHIN.days,
        "audience": AUDIENCES[briefing.audience],
        "marking": "OFFICIAL" if briefing.audience == "public" else region.marking,
        "exercise": _exercise([told.simulated for told in everything]),
        "attributions": sorted(
            {told.attribution for told in everything if told.attribution} | {region.attribution} - {""}
        ),
    }
    return _environment(zone).get_template("briefing.html.j2").render(given)


@cache
def _environment(zone: ZoneInfo) -> Environment:
    environment = Environment(
        loader=PackageLoader("paper.briefing"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "moment": lambda when: moment_words(when, zone),
        "day": lambda when: day_words(when, zone),
        "short_day": lambda when: _without_zero(when.astimezone(zone), "%b %Y"),
        "short_moment": lambda when: f"{when.astimezone(zone):%a} " + _without_zero(when.astimezone(zone), "%b, %H:%M"),
        "counts": counts_words,
        "span": lambda told: f"{PART_WORDS[told.hours]}{span_words(round((told.end - told.start).total_seconds()))}",
    }
    return environment


def _without_zero(local: datetime, rest: str) -> str:
    return f"{local.day} {local:{rest}}"


def counts_words(told: Disclosed) -> str:
    """The counts of an episode in a cell of a table."""
    parts = []
    for kind, count in told.counts.items():
        usual = f" (usually {usual_words(told.usual[kind])})" if kind in told.usual else ""
        parts.append(f"{KINDS.get(kind, kind)} {count.words}{usual}")
    return "; ".join(parts)
