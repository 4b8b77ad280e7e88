"""The monitor once more with one thing otherwise: when records come, which sources there are, how it is set."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import numpy as np

from evaluation.lateness import Lateness
from evaluation.plan import Group, Plan
from processors.localtime import DAY_S
from schemas.detection import DetectionSettings
from schemas.located import KIND_NAMES, Kind

FARTHEST_M: Final = 1_000
KIND_TITLES: Final = {Kind.ED: "EDs", Kind.POLICE: "police"}


class Way(NamedTuple):
    """One way to run the monitor over the history of a plan."""

    settings: DetectionSettings
    lateness: Lateness
    kinds: tuple[Kind, ...]
    """Records of other kinds are left out."""


class Variant(NamedTuple):
    """A way that differs from the plan's in one thing, or in nothing, for comparison."""

    group: Group
    name: str
    way: Way


def planned(plan: Plan) -> Way:
    """As the plan says."""
    return Way(plan.settings, plan.lateness, tuple(Kind))


def variants(plan: Plan) -> tuple[Variant, ...]:
    """All that the plan asks for."""
    of_group = {"delay": _delays, "source": _sources, "setting": _settings}
    return tuple(Variant(group, name, way) for group in plan.effects for name, way in of_group[group](plan))


def _delays(plan: Plan) -> Iterator[tuple[str, Way]]:
    for profile in Lateness:
        # A weekly batch is a thing of EDs: without them it is as usual.
        if profile is not Lateness.WEEKLY or Kind.ED in _kinds(plan) or plan.lateness is profile:
            yield str(profile), planned(plan)._replace(lateness=profile)


def _sources(plan: Plan) -> Iterator[tuple[str, Way]]:
    kinds = _kinds(plan)
    yield " and ".join(KIND_TITLES[kind] for kind in kinds), planned(plan)
    if len(kinds) > 1:
        for kind in kinds:
            yield f"{KIND_TITLES[kind]} alone", planned(plan)._replace(kinds=(kind,))


def _settings(plan: Plan) -> Iterator[tuple[str, Way]]:
    """The settings that an analyst may doubt, one at a time; those that the plan has already are left out."""
    now = plan.settings
    near = tuple(r for r in now.radii_cells if (r + 0.5) * plan.region.cell_m <= FARTHEST_M) or now.radii_cells[:1]
    long = tuple(span for span in now.spans_s if span >= DAY_S) or now.spans_s[-1:]
    changes: dict[str, dict[str, Any]] = {
        "as set": {},
        "budget 1": {"budget_per_28d": 1.0},
        "budget 4": {"budget_per_28d": 4.0},
        f"radii to {FARTHEST_M} m": {"radii_cells": near},
        "spans of a day and more": {"spans_s": long, "part_spans_s": tuple(s for s in now.part_spans_s if s in long)},
        "no span penalty": {"span_penalty": 0.0},
        "no windows of parts of the week": {"part_spans_s": ()},
        "at least 5 incidents": {"min_incidents": 5},
        "no merging of records": {"merge_minutes": 0},
        "merging within 120 minutes": {"merge_minutes": 120},
        "a year of baseline": {"baseline_days": 365},
    }
    for name, change in changes.items():
        changed = DetectionSettings.model_validate({**now.model_dump(), **change})
        if changed != now or not change:
            yield name, planned(plan)._replace(settings=changed)


def _kinds(plan: Plan) -> tuple[Kind, ...]:
    """Kinds of record that the history has, police first."""
    found = np.unique(plan.rows["kind"]).tolist()
    return tuple(sorted((kind for kind in Kind if int(kind) in found), key=lambda k: KIND_NAMES[k], reverse=True))
