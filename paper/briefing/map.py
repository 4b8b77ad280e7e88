"""Where an episode is: its outline in metres, over names of places and, where it is known, where people live."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np
from markupsafe import Markup

from alerts.phrases import length_words
from paper.briefing.content import Surroundings
from paper.svg import BLUE, GREY, INK, RULE, line, picture, rect, steps, tag, text
from schemas.alert import Polygons

WIDTH: Final = 360.0
HEIGHT: Final = 300.0
#: No less is drawn, metres: fewer says nothing of where it is.
_LEAST_M: Final = 4_000.0
_TIMES: Final = 2.2
#: Cells with so many addresses (postcodes) or more are darkest.
_DENSE: Final = 12
_LETTER: Final = 5.9
"""Width of a letter of 11 points, about."""

Ring = Sequence[tuple[float, float]]


class Frame(NamedTuple):
    """The part of the plane that is drawn: north is up, and a metre is as long either way."""

    west: float
    south: float
    scale: float
    """Units of the picture in a metre."""

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Place in the picture."""
        return (x - self.west) * self.scale, HEIGHT - (y - self.south) * self.scale

    @property
    def east(self) -> float:
        """Its right edge, metres."""
        return self.west + WIDTH / self.scale

    @property
    def north(self) -> float:
        """Its upper edge, metres."""
        return self.south + HEIGHT / self.scale


def episode_map(key: str, polygons: Polygons, place: str, around: Surroundings) -> Markup:
    """The outline, with a scale bar, north, and lines of the grid at whole kilometres. `polygons` are not empty."""
    shapes = [[_metres(ring, around) for ring in polygon] for polygon in polygons]
    frame = _frame([point for shape in shapes for ring in shape for point in ring])
    outline = Markup(" ").join(_path(ring, frame) for shape in shapes for ring in shape)
    look = {"fill": BLUE, "fill_opacity": "0.28", "stroke": BLUE, "stroke_width": "2.5", "fill_rule": "evenodd"}
    parts = [
        rect(0, 0, WIDTH, HEIGHT, "#FFFFFF"),
        *_addresses(frame, around),
        *_kilometres(frame),
        tag("path", d=str(outline), **look),
        *_places(frame, around),
        *_scale(frame),
        _north(),
        tag("rect", x=0.5, y=0.5, width=WIDTH - 1, height=HEIGHT - 1, fill="none", stroke=RULE),
    ]
    lived = " Grey squares show where people live." if around.addresses else ""
    wide = length_words(WIDTH / frame.scale)
    told = f"The outline of the episode {place}, on a map {wide} wide; north is up.{lived}"
    return picture(key, "Where it is", told, WIDTH, HEIGHT, parts)


def _metres(ring: Ring, around: Surroundings) -> list[tuple[float, float]]:
    degrees = np.asarray(ring, dtype=np.float64)
    easting, northing = around.grid.project(degrees[:, 0], degrees[:, 1])
    return list(zip(easting.tolist(), northing.tolist(), strict=True))


def _frame(points: Sequence[tuple[float, float]]) -> Frame:
    west, east = min(x for x, _ in points), max(x for x, _ in points)
    south, north = min(y for _, y in points), max(y for _, y in points)
    wide = max((east - west) * _TIMES, (north - south) * _TIMES * WIDTH / HEIGHT, _LEAST_M)
    scale = WIDTH / wide
    return Frame((west + east - wide) / 2, (south + north - HEIGHT / scale) / 2, scale)


def _path(ring: Ring, frame: Frame) -> str:
    return "M" + " L".join(f"{x:.1f} {y:.1f}" for x, y in (frame.at(*point) for point in ring)) + " Z"


def _addresses(frame: Frame, around: Surroundings) -> Iterator[Markup]:
    cell = around.grid.cell_m
    side = cell * frame.scale
    for ix in range(math.floor(frame.west / cell), math.ceil(frame.east / cell)):
        for iy in range(math.floor(frame.south / cell), math.ceil(frame.north / cell)):
            count = around.addresses.get((ix, iy), 0)
            if count:
                x, y = frame.at(ix * cell, (iy + 1) * cell)
                shade = 240 - round(46 * min(count, _DENSE) / _DENSE)
                yield rect(x, y, side + 0.3, side + 0.3, f"#{shade:02x}{shade:02x}{shade:02x}")


def _kilometres(frame: Frame) -> Iterator[Markup]:
    """Lines at round distances of the grid, with the kilometres as on printed maps."""
    step = max(1000.0, steps((frame.east - frame.west), 5)[1])
    for n in range(math.ceil(frame.west / step), math.floor(frame.east / step) + 1):
        x, _ = frame.at(n * step, 0)
        yield line(x, 0, x, HEIGHT, RULE, 0.6)
        if 40 < x < WIDTH - 14:
            yield text(x, 11, _two(n * step), "middle", 9, GREY)
    for n in range(math.ceil(frame.south / step), math.floor(frame.north / step) + 1):
        _, y = frame.at(0, n * step)
        yield line(0, y, WIDTH, y, RULE, 0.6)
        if 20 < y < HEIGHT - 40:
            yield text(4, y + 3, _two(n * step), "start", 9, GREY)


def _two(metres: float) -> str:
    """The kilometres as grid references have them: the last two figures."""
    return f"{round(metres / 1000) % 100:02d}"


def _places(frame: Frame, around: Surroundings) -> Iterator[Markup]:
    """Names of places in the frame, as many as do not lie on one another."""
    taken = [(0.0, HEIGHT - 34.0, 150.0, HEIGHT), (WIDTH - 34.0, 0.0, WIDTH, 44.0)]
    for place in around.region.places:
        east, north = around.grid.project(np.array([place.longitude]), np.array([place.latitude]))
        x, y = frame.at(float(east[0]), float(north[0]))
        wide = _LETTER * len(place.name)
        left = x + 5 if x + 5 + wide < WIDTH - 3 else x - 5 - wide
        box = (left, y - 9.0, left + wide, y + 5.0)
        inside = box[0] > 3 and box[2] < WIDTH - 3 and box[1] > 14 and box[3] < HEIGHT - 3
        if not inside or any(_meet(box, other) for other in taken):
            continue
        taken.append(box)
        yield tag("circle", cx=x, cy=y, r=2.2, fill=INK)
        # A wide white line below the letters keeps them legible on any ground.
        yield tag(
            "g", text(left, y + 4, place.name, size=11), stroke="#FFFFFF", stroke_width=3, stroke_linejoin="round"
        )
        yield text(left, y + 4, place.name, size=11)


def _meet(one: Sequence[float], other: Sequence[float]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _scale(frame: Frame) -> list[Markup]:
    long = steps((frame.east - frame.west) / 3, 2)[1]
    end, y = 12 + long * frame.scale, HEIGHT - 12
    words = f"{long / 1000:g} km" if long >= 1000 else f"{long:g} m"
    return [
        tag("rect", x=4, y=y - 18, width=end + 6 + 8 * len(words), height=26, fill="#FFFFFF", fill_opacity="0.85"),
        line(12, y, end, y, INK, 2),
        line(12, y - 4, 12, y + 4, INK, 2),
        line(end, y - 4, end, y + 4, INK, 2),
        text(end + 6, y + 4, words),
    ]


def _north() -> Markup:
    x = WIDTH - 18
    return Markup('<path d="M{0} 26 l6 -18 l6 18 l-6 -5 z" fill="{1}"/>{2}').format(
        f"{x - 6:.1f}", INK, text(x, 39, "N", "middle", 12)
    )
