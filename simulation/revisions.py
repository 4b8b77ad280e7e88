"""What becomes of a record after its first revision: amendments, places found later, withdrawals."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from schemas.located import Kind, Status
from schemas.region import RegionFile
from simulation.cases import ED_NAMES, POLICE_NAMES, Cases, scattered
from simulation.days import DAY_S
from simulation.delays import revision_delay
from simulation.geography import FloatArray, IntArray
from simulation.profile import BLADE_CATEGORY, Profile

AMENDED_MEDIAN_DAYS = 3.0
WITHDRAWN_MEDIAN_DAYS = 6.0
ED_CORRECTION_MAX_DAYS = 10  # an ED corrects in a later daily batch
MOVED_M = 150.0
#: Of the amendments, what changes: another category, a knife after all, another place (or one where there was none).
CATEGORY_PART, BLADE_PART = 0.45, 0.25


@dataclass(frozen=True, eq=False)
class Revisions:
    """One row a revision of a case. `recorded` is in seconds UTC."""

    case: IntArray
    revision: IntArray
    status: IntArray
    recorded: IntArray
    category: IntArray
    easting: FloatArray
    northing: FloatArray

    def of(self, cases: NDArray[np.bool_]) -> Revisions:
        """The revisions of some cases."""
        keep = cases[self.case]
        return Revisions(**{field.name: getattr(self, field.name)[keep] for field in fields(self)})


def first_revisions(cases: Cases, recorded: IntArray) -> Revisions:
    """What is recorded first."""
    count = len(recorded)
    return Revisions(
        case=np.arange(count, dtype=np.int64),
        revision=np.ones(count, dtype=np.int64),
        status=np.full(count, Status.RECORDED, dtype=np.int64),
        recorded=recorded,
        category=cases.category,
        easting=cases.easting,
        northing=cases.northing,
    )


def revise(
    rng: np.random.Generator, region: RegionFile, cases: Cases, recorded: IntArray, profile: Profile
) -> Revisions:
    """All revisions of the cases. A withdrawal is the last one of its case."""
    first = first_revisions(cases, recorded)
    amended = _amended(rng, region, cases, first, profile.amended)
    if cases.kind is not Kind.POLICE:
        return _stacked(first, amended)
    withdrawn = _withdrawn(rng, first, amended, profile.withdrawn)
    return _stacked(first, amended, withdrawn)


def _amended(rng: np.random.Generator, region: RegionFile, cases: Cases, first: Revisions, share: float) -> Revisions:
    before = first.of(rng.random(len(first.case)) < share)
    count = len(before.case)
    what = rng.random(count)
    new_category = what < CATEGORY_PART
    blade = (what >= CATEGORY_PART) & (what < CATEGORY_PART + BLADE_PART)
    category = np.where(new_category, _other_category(rng, cases.kind, before.category), before.category)
    if cases.kind is Kind.POLICE:
        category = np.where(blade, POLICE_NAMES.index(BLADE_CATEGORY), category)
        delay = revision_delay(rng, count, AMENDED_MEDIAN_DAYS)
    else:
        delay = rng.integers(1, ED_CORRECTION_MAX_DAYS + 1, size=count) * DAY_S
    # A place that changes is looked up again: near the true one, also where there was none before.
    x, y = scattered(rng, region, cases.true_easting[before.case], cases.true_northing[before.case], MOVED_M)
    moved = ~new_category & ~blade
    return Revisions(
        case=before.case,
        revision=before.revision + 1,
        status=np.full(count, Status.AMENDED, dtype=np.int64),
        recorded=before.recorded + delay,
        category=category,
        easting=np.where(moved, x, before.easting),
        northing=np.where(moved, y, before.northing),
    )


def _withdrawn(rng: np.random.Generator, first: Revisions, amended: Revisions, share: float) -> Revisions:
    latest = Revisions(**{field.name: getattr(first, field.name).copy() for field in fields(first)})
    for field in fields(latest):
        getattr(latest, field.name)[amended.case] = getattr(amended, field.name)
    before = latest.of(rng.random(len(latest.case)) < share)
    count = len(before.case)
    return Revisions(
        case=before.case,
        revision=before.revision + 1,
        status=np.full(count, Status.WITHDRAWN, dtype=np.int64),
        recorded=before.recorded + revision_delay(rng, count, WITHDRAWN_MEDIAN_DAYS),
        category=before.category,
        easting=before.easting,
        northing=before.northing,
    )


def _other_category(rng: np.random.Generator, kind: Kind, category: IntArray) -> IntArray:
    """A category of the same kind that is not the one it was."""
    first, count = (0, len(POLICE_NAMES)) if kind is Kind.POLICE else (len(POLICE_NAMES), len(ED_NAMES))
    return first + (category - first + rng.integers(1, count, size=len(category))) % count


def _stacked(*parts: Revisions) -> Revisions:
    return Revisions(
        **{field.name: np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Revisions)}
    )
