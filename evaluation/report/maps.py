"""Maps of episodes without a basemap: circles of their true size in the region's metres, with a scale bar."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

from markupsafe import Markup

from evaluation.report import words
from evaluation.report.charts import EVIDENCE, OTHER
from paper.svg import GREY, INK, PALE, RULE, line, mark, picture, rect, steps, tag, text
from schemas.backtest import Episode

_LETTER: Final = 6.2
"""Width of a figure of 11 points, about."""
_HIGH: Final = 10.0


class Shown(NamedTuple):
    """An episode of the list and its number there."""

    number: int
    episode: Episode


class Frame(NamedTuple):
    """The part of the plane that is drawn, metres, and its size on paper."""

    west: float
    south: float
    metres: float
    """Width, of the paper's `width`."""
    width: float
    height: float

    @property
    def scale(self) -> float:
        """Units of the paper in a metre."""
        return self.width / self.metres

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Place on paper: north is up."""
        return (x - self.west) * self.scale, self.height - (y - self.south) * self.scale


def frame_of(episodes: Sequence[Episode], width: float, tallest: float) -> Frame:
    """Around all circles, the same scale both ways, no taller than `tallest`."""
    west = min(e.x - e.radius_m for e in episodes)
    east = max(e.x + e.radius_m for e in episodes)
    south = min(e.y - e.radius_m for e in episodes)
    north = max(e.y + e.radius_m for e in episodes)
    side = max(east - west, north - south, 2_000.0) * 0.06
    wide, high = max(east - west, 2_000.0) + 2 * side, max(north - south, 2_000.0) + 2 * side
    wide = max(wide, high * width / tallest)
    high = max(high, wide * 0.4)
    return Frame((west + east - wide) / 2, (south + north - high) / 2, wide, width, high / wide * width)


def episode_map(
    key: str, title: str, shown: Sequence[Shown], frame: Frame, numbered: frozenset[int], scale: bool = True
) -> Markup:
    """Circles of the windows, a mark at each centre, and numbers of the list beside those that are to have them."""
    step = steps(frame.metres, 6)[1]
    parts = [rect(0, 0, frame.width, frame.height, "#FFFFFF", RULE), *_squares(frame, step)]
    for _, e in shown:
        x, y = frame.at(e.x, e.y)
        colour = EVIDENCE.get(e.evidence, OTHER)[1]
        look = {"fill": colour, "fill_opacity": "0.10", "stroke": colour, "stroke_width": "1"}
        parts.append(tag("circle", cx=x, cy=y, r=e.radius_m * frame.scale, **look))
    for _, e in shown:
        shape, colour = EVIDENCE.get(e.evidence, OTHER)
        parts.append(mark(shape, *frame.at(e.x, e.y), 6 if scale else 5, colour))
    parts += _numbers([one for one in shown if one.number in numbered], shown, frame)
    if scale:
        parts += _scale_bar(frame, step)
    told = (
        f"{words.plural(len(shown), 'circle')} of the size of the windows, without a basemap; north is up and the "
        f"grey squares are {words.metres(step)} wide. The list of episodes gives each place in degrees."
    )
    return picture(key, title, told, frame.width, frame.height, parts)


def _squares(frame: Frame, step: float) -> list[Markup]:
    east, north = frame.west + frame.metres, frame.south + frame.height / frame.scale
    found = []
    for n in range(math.ceil(frame.west / step), math.floor(east / step) + 1):
        x, _ = frame.at(n * step, 0)
        found.append(line(x, 0, x, frame.height, PALE))
    for n in range(math.ceil(frame.south / step), math.floor(north / step) + 1):
        _, y = frame.at(0, n * step)
        found.append(line(0, y, frame.width, y, PALE))
    return found


def _scale_bar(frame: Frame, step: float) -> list[Markup]:
    long, y = step * frame.scale, frame.height - 14
    arrow = Markup('<path d="M{0} 34 l6 -18 l6 18 l-6 -5 z" fill="{1}"/>').format(f"{frame.width - 26:.1f}", INK)
    return [
        rect(8, y - 16, long + 70, 24, "#FFFFFF"),
        line(14, y, 14 + long, y, INK, 2),
        line(14, y - 4, 14, y + 4, INK, 2),
        line(14 + long, y - 4, 14 + long, y + 4, INK, 2),
        text(20 + long, y + 4, words.metres(step)),
        arrow,
        text(frame.width - 20, 46, "N", "middle", 12),
    ]


def _numbers(shown: Sequence[Shown], everything: Sequence[Shown], frame: Frame) -> list[Markup]:
    """Numbers beside their marks, moved out on a short line where they would lie on one another."""
    taken = [_box(*frame.at(one.episode.x, one.episode.y), 6.0, 6.0) for one in everything]
    if frame.width > 300:
        taken += [(0.0, frame.height - 32, 8 + 200.0, frame.height), (frame.width - 34, 0.0, frame.width, 50.0)]
    found = []
    for number, e in shown:
        x, y = frame.at(e.x, e.y)
        wide = _LETTER * len(str(number)) + 2
        at_x, at_y = _free(x, y, wide, taken, frame)
        taken.append(_box(at_x, at_y, wide, _HIGH))
        if math.hypot(at_x - x, at_y - y) > 16:
            found.append(line(x, y, at_x, at_y, GREY, 0.7))
        box = {"x": at_x - wide / 2 + 1, "y": at_y - _HIGH / 2, "width": wide - 2, "height": _HIGH}
        found.append(tag("rect", **box, fill="#FFFFFF", fill_opacity="0.75"))
        found.append(text(at_x, at_y + 4, str(number), "middle", 11))
    return found


def _free(x: float, y: float, wide: float, taken: Sequence[tuple[float, ...]], frame: Frame) -> tuple[float, float]:
    for ring in range(12):
        away = 5 + ring * 7
        for turn in range(12):
            angle = math.pi * (turn / 6 - 0.25)
            at = x + math.cos(angle) * (away + wide / 2), y + math.sin(angle) * (away + 3)
            box = _box(*at, wide, _HIGH)
            if not _inside(box, frame) or any(_meet(box, other) for other in taken):
                continue
            return at
    return x, y - 8


def _box(x: float, y: float, wide: float, high: float) -> tuple[float, float, float, float]:
    return x - wide / 2, y - high / 2, x + wide / 2, y + high / 2


def _meet(one: Sequence[float], other: Sequence[float]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _inside(box: Sequence[float], frame: Frame) -> bool:
    return box[0] >= 2 and box[1] >= 2 and box[2] <= frame.width - 2 and box[3] <= frame.height - 2
