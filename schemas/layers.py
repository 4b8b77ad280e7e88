"""The two map layers that analysts know, as settings and as the message that carries them to the map."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field

from schemas.base import Contract, UtcTime

#: Fewer steps than this say nothing of a trend; ArcGIS refuses such a cube too.
FEWEST_STEPS = 10


class LayerSettings(Contract):
    """Everything that the layers may be told; equal settings and incidents give equal layers."""

    settle_days: int = Field(default=0, ge=0, le=90)
    """Both layers end this many days before `as_of`: the days whose records are still to come."""
    place_cells: int = Field(default=4, ge=1, le=64)
    """Side of a place, cells."""
    period_days: int = Field(default=91, ge=1, le=3650)
    """Incidents of so many days are counted for the Gi* of cells."""
    cell_radius: int = Field(default=2, ge=0, le=20)
    """Neighbours of a cell: cells whose centres lie within so many cell sides."""
    steps: int = Field(default=26, ge=FEWEST_STEPS, le=520)
    """Time steps of the space-time cube."""
    step_days: int = Field(default=7, ge=1, le=366)
    """Length of a time step, days."""
    place_radius: int = Field(default=1, ge=0, le=20)
    """Neighbours of a place: places whose centres lie within so many place sides."""
    confidence: Literal[90, 95, 99] = 90
    """A step is hot or cold, and a trend is one, at this confidence, percent."""


class EmergingPattern(StrEnum):
    """The history of a hot or cold spot. Hot, cold: at `confidence`, after correction for false discoveries."""

    NEW = "new"
    """Hot in the last step, never before."""
    CONSECUTIVE = "consecutive"
    """Hot in at least the last two steps without a break, never before, and in less than 90 % of all steps."""
    INTENSIFYING = "intensifying"
    """Hot in the last and in at least 90 % of all steps, and more so as time goes on."""
    PERSISTENT = "persistent"
    """Hot in the last and in at least 90 % of all steps, without a trend."""
    DIMINISHING = "diminishing"
    """Hot in the last and in at least 90 % of all steps, and less so as time goes on."""
    SPORADIC = "sporadic"
    """Hot in the last step, on and off before, in less than 90 % of all steps, and never cold."""
    OSCILLATING = "oscillating"
    """Hot in the last step, on and off before, in less than 90 % of all steps, and cold in some."""
    HISTORICAL = "historical"
    """Not hot in the last step, but in at least 90 % of all."""


#: Config of the plain dataclasses below: made by the thousand from our own numbers, validated only when read.
_CLOSED = ConfigDict(extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)
Probability = Annotated[float, Field(ge=0, le=1)]


@dataclass(frozen=True, slots=True)
class LayerCell:
    """A cell whose Gi* is significant."""

    __pydantic_config__: ClassVar[ConfigDict] = _CLOSED
    ix: int
    iy: int
    longitude: float
    """Of the centre, as are the next three."""
    latitude: float
    easting: float
    northing: float
    count: int | None
    """Incidents of all kinds in the cell itself; None where all are of ED."""
    z: float
    p: Probability
    """Two-sided, of this cell alone."""
    q: Probability
    """`p` corrected for false discoveries (Benjamini-Hochberg); `bin` follows from it."""
    bin: Annotated[int, Field(ge=-3, le=3)]
    """1, 2, 3: hot at 90, 95, 99 %; -1, -2, -3: cold."""


@dataclass(frozen=True, slots=True)
class LayerPlace:
    """A place whose series of Gi* is one of the patterns."""

    __pydantic_config__: ClassVar[ConfigDict] = _CLOSED
    ix: int
    """Column of the place: that of its cells divided by the side of a place in cells, rounded down."""
    iy: int
    longitude: float
    """Of the centre, as are the next three."""
    latitude: float
    easting: float
    northing: float
    count: int | None
    """Incidents of all kinds in the place itself over all steps; None where all are of ED."""
    spot: Literal["hot", "cold"]
    pattern: EmergingPattern
    hot_steps: int
    cold_steps: int
    trend_z: float
    """Mann-Kendall: above 0 where z rises."""
    trend_p: Probability
    z: tuple[float, ...] = ()
    """Gi* of each step, oldest first; empty where it was not asked for."""


@dataclass(frozen=True, slots=True)
class CellLayer:
    """Where incidents of a period cluster; cells by column, then row."""

    __pydantic_config__: ClassVar[ConfigDict] = _CLOSED
    start: UtcTime
    end: UtcTime
    side_m: Annotated[float, Field(gt=0)]
    """Side of a cell, metres."""
    area: int
    """Cells of the study area; those that are not listed are not significant."""
    incidents: int
    """Incidents in the study area in the period."""
    cells: tuple[LayerCell, ...]


@dataclass(frozen=True, slots=True)
class PlaceLayer:
    """How clusters came and went; places by column, then row."""

    __pydantic_config__: ClassVar[ConfigDict] = _CLOSED
    start: UtcTime
    end: UtcTime
    side_m: Annotated[float, Field(gt=0)]
    """Side of a place, metres."""
    steps: int
    """Steps that history fills, at most those asked for; 0 where it fills fewer than ten: then no place is listed."""
    area: int
    """Places of the study area; those that are not listed have no pattern."""
    incidents: int
    """Incidents in the study area over all steps."""
    places: tuple[LayerPlace, ...]


class MapLayers(Contract):
    """The layers of a region at one moment, or a part of them (topic hotspot.detections).

    Parts of one region and `as_of` differ only in the cells and places that they list; together they list all.
    """

    content: Literal["layers"] = "layers"
    """Tells this message from the others of its topic."""
    region: str
    as_of: UtcTime
    """What was known at this moment is what is told here."""
    part: int = Field(default=1, ge=1)
    parts: int = Field(default=1, ge=1)
    settings: LayerSettings
    gi_star: CellLayer
    emerging: PlaceLayer
