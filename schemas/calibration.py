"""What scores mean in a region, and how well the alarm budget is kept: the contract of `hotspot calibrate`."""

from __future__ import annotations

from pydantic import Field

from schemas.base import Contract, UtcTime
from schemas.detection import DetectionSettings


class Recurrence(Contract):
    """How often chance alone opens an episode of at least a score."""

    score: float
    days: float
    """Days between two, over the whole region; capped."""


class KindVariation(Contract):
    """How much a kind varies beyond chance; all of it is in the simulation."""

    kind: str
    incidents_a_year: float
    common: float
    """Variance of a factor common to the region for six hours."""
    weekly: float
    """Variance of a factor of each 16 by 16 cells for a week."""
    echoes: float
    """Incidents that one incident brings near by within two days."""


class NullCheck(Contract):
    """Episodes on simulated years of nothing but the usual, found by a detector that learned from such years alone."""

    years: int = Field(ge=1)
    seed: int
    episodes: int
    per_28_days: float


class CalibrationReport(Contract):
    """A calibration as an artefact: its date, what it was made of, what it says and how sure it is."""

    region: str
    made_as_of: UtcTime
    """What was known then is what it was made of."""
    fingerprint: str
    """Of the settings and of the baseline; another one means that it no longer fits."""
    budget_per_28d: float
    threshold: float
    threshold_error: float
    """Standard error, from the length of the simulation alone."""
    closing_level: float
    simulated_days: int
    peaks: int
    """Simulated episodes that the tail was fitted to."""
    tail_start: float
    tail_shape: float
    tail_scale: float
    shared_events: float
    """Part of the ED incidents whose event the police report too."""
    variation: tuple[KindVariation, ...]
    recurrence: tuple[Recurrence, ...]
    check: NullCheck | None = None
    settings: DetectionSettings
