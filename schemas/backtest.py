"""metrics.json of `hotspot backtest`: what the monitor and other methods would have done, and how good it was."""

from __future__ import annotations

from datetime import date
from typing import Literal

from pydantic import AwareDatetime, Field

from schemas.base import Contract
from schemas.detection import DetectionSettings
from schemas.evaluation import HotspotSpec
from schemas.heldout import BaselineReport


class Fraction(Contract):
    """Hotspots found of those planted."""

    planted: int
    found: int
    fraction: float
    low: float
    """Wilson's interval of 95 %."""
    high: float
    median_days: float | None
    """From a hotspot's begin until an episode about it opened, of those found; and the quartiles."""
    lower_quartile_days: float | None
    upper_quartile_days: float | None


class Quartiles(Contract):
    """The middle and the spread of some lengths of time, days."""

    n: int
    mean: float
    lower: float
    median: float
    upper: float


class Overlap(Contract):
    """How well the windows that found planted hotspots lay on them; means over those found."""

    found: int
    precision: float
    """Part of a window's cells that lie in the hotspot's disc."""
    recall: float
    """Part of the hotspot's disc that lies in the window."""


class Capture(Contract):
    """How much of what came lay in the places that a method ranked first, week by week."""

    area: float
    """Part of the region's known cells, such as 0.01."""
    hit_rate: float
    """Part of the next week's incidents that lay in them."""
    pai: float
    """Predictive accuracy index: hit rate by area (Chainey, Tompson and Uhlig 2008)."""
    pei: float
    """Predictive efficiency index: hit rate by the best that so much area could have had (Hunt 2016)."""


class MethodResult(Contract):
    """What one method did."""

    method: str
    level: float
    """Score above which it opened episodes: that at which it opens as many without planted hotspots as the monitor."""
    episodes: int
    """Opened in the period, without planted hotspots."""
    episodes_per_28_days: float
    episodes_by_year: dict[str, int] = Field(default_factory=dict)
    run_length: Quartiles | None = None
    """Days from one opening to the next without planted hotspots; the mean is the average run length."""
    all: Fraction | None
    """None where none was planted; so are the next."""
    found_days: tuple[float, ...] = ()
    """Days until each hotspot that was found was found, ascending; empty also where these were not kept."""
    by_name: dict[str, Fraction]
    by_place: dict[str, Fraction]
    by_trait: dict[str, dict[str, Fraction]] = Field(default_factory=dict)
    """By each trait that they differ in, and value: incidents, days, radius_m, place, hours, growth, second_part."""
    conditional_delay: Quartiles | None = None
    """Conditional expected delay: days until found, of those at whose place no episode stood when they began."""
    standing: int = 0
    """Planted hotspots at whose place an episode was open already when they began; not in `conditional_delay`."""
    overlap: Overlap | None = None
    capture: tuple[Capture, ...] = ()
    """Empty for a method that ranks no places."""


class Ranking(Contract):
    """Cells ranked in another way than a method does, for comparison."""

    name: str
    """`expectation`: by the monitor's expectation alone; `last_8_weeks`, `last_two_years`: by incidents counted."""
    capture: tuple[Capture, ...]


class Episode(Contract):
    """One episode that the monitor would have raised, without planted hotspots."""

    episode_id: str
    opened: AwareDatetime
    closed: AwareDatetime | None
    """None: still open when the period ended."""
    longitude: float
    latitude: float
    x: float
    """Metres in the region's CRS, as y."""
    y: float
    radius_m: float
    span_hours: float
    """Of the window that opened it."""
    observed: dict[str, int]
    """In that window, by kind of record."""
    expected: dict[str, float]
    evidence: str
    recurrence_days: float
    """At its opening; and the most that it reached."""
    highest_recurrence_days: float
    revisions: int
    headline: str


class Reliability(Contract):
    """Whether episodes of some recurrence interval come as often as it says, on simulated years of the usual."""

    at_least_days: float
    expected: float
    """Episodes of at least this interval that there should have been."""
    observed: int
    ratio: float
    low: float
    """Exact Poisson interval of 95 % of the ratio."""
    high: float


class NullCheck(Contract):
    """Simulated years in which nothing emerged, through the whole detector."""

    simulated: Literal[True] = True
    years: float
    histories: int
    """Independent ones, each with a year before it to learn from."""
    episodes_per_28_days: float
    run_length: Quartiles | None
    reliability: tuple[Reliability, ...]


class Effect(Contract):
    """The monitor once more with one thing otherwise."""

    group: Literal["delay", "source", "setting"]
    name: str
    """Such as `weekly`, `police alone`, `radii to 1000 m`."""
    same: bool = False
    """Whether this is the monitor as in `methods`, for comparison."""
    episodes_per_28_days: float
    all: Fraction | None


class SourceFacts(Contract):
    """One source of the history."""

    source: str
    kind: Literal["ed", "police"]
    records: int
    simulated: bool = False
    """Whether its records were split off from another source by chance, for want of a real one."""


class Data(Contract):
    """The file that was read."""

    file: str
    """Its name, without folder."""
    sha256: str
    first: date
    last: date
    sources: tuple[SourceFacts, ...]
    attribution: str
    simulated: bool = False
    """Whether the file says that its records are simulated."""


class Code(Contract):
    """The product that did it."""

    version: str
    commit: str | None
    """None where it was not run from a checkout."""
    changed: bool
    """Whether files of the checkout differed from the commit."""


class BacktestMetrics(Contract):
    """All of it. The same data, code, options and seed give the same bytes."""

    region: str
    region_name: str
    timezone: str = "UTC"
    """Of the region, such as Europe/London: days are its days, and times are shown in it."""
    first: date
    """First day of the period that was looked at."""
    last: date
    records: int
    """Known by its end, those before it included."""
    lateness: str
    budget_per_28_days: float
    seed: int
    runs: int
    """Copies of the history among which the planted hotspots were spread."""
    planted_are_simulated: bool = True
    options: tuple[str, ...]
    """The command's arguments as they count, files without their folders."""
    data: Data
    code: Code
    settings: DetectionSettings
    specs: tuple[HotspotSpec, ...] = ()
    """Sorts of hotspot that were planted."""
    methods: tuple[MethodResult, ...] = Field(min_length=1)
    """The monitor first."""
    episodes: tuple[Episode, ...]
    expectation: BaselineReport | None
    rankings: tuple[Ranking, ...] = ()
    null: NullCheck | None
    effects: tuple[Effect, ...]
