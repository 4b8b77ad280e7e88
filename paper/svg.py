"""Pictures as SVG: text stays text, the same figures give the same bytes, and nothing else has to be installed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from markupsafe import Markup, escape

BLUE: Final = "#12436D"
TEAL: Final = "#28A197"
PLUM: Final = "#801650"
ORANGE: Final = "#F46A25"
INK: Final = "#0B0C0C"
GREY: Final = "#505A5F"
RULE: Final = "#B1B4B6"
PALE: Final = "#E8EDF2"

Attribute = str | float | None


def tag(name: str, content: str = "", /, **attributes: Attribute) -> Markup:
    """An element; content that is no Markup is escaped, and underscores in names of attributes become hyphens."""
    told = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_short(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Markup("<{0}{1}>{2}</{0}>").format(name, Markup(told), content)  # noqa: S704 - escaped above


def _short(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:.2f}".rstrip("0").rstrip(".")


def together(parts: Iterable[Markup]) -> Markup:
    """One after the other."""
    return Markup("").join(parts)


def line(x1: float, y1: float, x2: float, y2: float, stroke: str, width: float = 1, dash: str | None = None) -> Markup:
    """A straight line."""
    return tag("line", x1=x1, y1=y1, x2=x2, y2=y2, stroke=stroke, stroke_width=width, stroke_dasharray=dash)


def rect(x: float, y: float, width: float, height: float, fill: str, stroke: str | None = None) -> Markup:
    """A box."""
    return tag("rect", x=x, y=y, width=max(width, 0), height=max(height, 0), fill=fill, stroke=stroke)


def text(x: float, y: float, words: str, anchor: str = "start", size: float = 12, fill: str = INK) -> Markup:
    """A line of words."""
    return tag(
        "text",
        words,
        x=x,
        y=y,
        font_size=size,
        fill=fill,
        text_anchor=anchor,
        font_family="Arial, Helvetica, sans-serif",
    )


def mark(shape: str, x: float, y: float, size: float, colour: str, filled: bool = True) -> Markup:
    """A mark by which a kind is known without its colour: circle, triangle, square or diamond, of `size` across."""
    half = size / 2
    look: dict[str, Attribute] = {"fill": colour if filled else "#FFFFFF", "stroke": colour, "stroke_width": 1.5}
    if shape == "circle":
        return tag("circle", cx=x, cy=y, r=half, **look)
    corners = {
        "triangle": ((0, -1.1), (1.05, 0.8), (-1.05, 0.8)),
        "square": ((-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)),
        "diamond": ((0, -1.25), (1.25, 0), (0, 1.25), (-1.25, 0)),
    }[shape]
    points = " ".join(f"{_short(x + dx * half)},{_short(y + dy * half)}" for dx, dy in corners)
    return tag("polygon", points=points, **look)


def picture(key: str, title: str, description: str, width: float, height: float, parts: Iterable[Markup]) -> Markup:
    """A picture that says in words what it shows. `key` is told once in a page: its ids are made of it."""
    return tag(
        "svg",
        together([tag("title", title, id=f"{key}-title"), tag("desc", description, id=f"{key}-desc"), *parts]),
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {_short(width)} {_short(height)}",
        role="img",
        aria_labelledby=f"{key}-title {key}-desc",
        class_="chart",
    )


class Axis(NamedTuple):
    """From numbers to places on paper."""

    low: float
    high: float
    begin: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """Where a number lies; numbers beyond the ends lie on these."""
        low, high = (math.log(self.low), math.log(self.high)) if self.log else (self.low, self.high)
        at = math.log(max(value, self.low)) if self.log else value
        part = (at - low) / (high - low) if high > low else 0.5
        return self.begin + (self.end - self.begin) * min(max(part, 0.0), 1.0)


def steps(high: float, about: int = 5, least: float = 0.0) -> list[float]:
    """Round numbers from 0 to at least `high`, about so many, no nearer to each other than `least`."""
    if high <= 0:
        return [0.0, 1.0]
    raw = max(high / about, least)
    size = 10.0 ** math.floor(math.log10(raw))
    step = next(size * times for times in (1, 2, 5, 10) if size * times >= raw * (1 - 1e-9))
    return [n * step for n in range(math.ceil(high / step - 1e-9) + 1)]


#: A strip lies in a cell of a table: a dot, its interval, and what it is compared with.
STRIP_WIDTH: Final = 120
STRIP_HEIGHT: Final = 16
_EDGE: Final = 6


def strip_axis(low: float, high: float, log: bool = False) -> Axis:
    """The axis of all strips of a column."""
    return Axis(low, high, _EDGE, STRIP_WIDTH - _EDGE, log)


def strip(
    axis: Axis,
    low: float,
    value: float,
    high: float,
    *,
    ticks: Sequence[float],
    band: tuple[float, float] | None = None,
    first: bool = True,
) -> Markup:
    """A dot (filled for what is judged, hollow for what it is compared with) on its interval.

    Hidden from screen readers: the cell says the same numbers beside it.
    """
    middle = STRIP_HEIGHT / 2
    parts = [rect(axis(band[0]), 1, max(axis(band[1]) - axis(band[0]), 1), STRIP_HEIGHT - 2, "#D5DEE7")] if band else []
    parts += [line(axis.begin, middle, axis.end, middle, RULE)]
    parts += [line(axis(tick), middle - 3, axis(tick), middle + 3, RULE) for tick in ticks]
    parts += [line(axis(low), middle, axis(high), middle, BLUE if first else PLUM, 3)]
    parts += [mark("circle" if first else "square", axis(value), middle, 8, BLUE if first else PLUM, filled=first)]
    return tag(
        "svg",
        together(parts),
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {STRIP_WIDTH} {STRIP_HEIGHT}",
        aria_hidden="true",
        focusable="false",
        class_="strip",
    )


def strip_scale(axis: Axis, ticks: Sequence[tuple[float, str]]) -> Markup:
    """The numbers over a column of strips."""
    parts = []
    for value, words in ticks:
        x = axis(value)
        anchor = "start" if x < 20 else "end" if x > STRIP_WIDTH - 20 else "middle"
        x = 1 if anchor == "start" else STRIP_WIDTH - 1 if anchor == "end" else x
        parts.append(text(x, 9, words, anchor, 9, GREY))
        parts.append(line(axis(value), 11, axis(value), 14, GREY))
    return tag(
        "svg",
        together(parts),
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {STRIP_WIDTH} 14",
        aria_hidden="true",
        focusable="false",
        class_="strip",
    )
