"""Whether what was told still holds: the window that was told, counted again from the records as now known."""

from __future__ import annotations

import numpy as np

from alerts.comparisons import AtPlace, at_place, counts_in, during, within
from processors.localtime import LocalHours
from processors.score import surprise
from schemas.detection import Detection
from schemas.located import LocatedArray


def recount(rows: LocatedArray, told: Detection, merge_s: int, local: LocalHours) -> Detection:
    """The told window with the counts of the rows that count now, and the expectation as it was told."""
    found: AtPlace = at_place(rows, told, merge_s, local)
    observed = counts_in(found, told.as_of - told.span_s, told.as_of)
    # A kind without a baseline was not scored when it was told, and is not now.
    scores = tuple(float(surprise(float(count), mean)) for count, mean in zip(observed, told.expected, strict=True))
    return told._replace(observed=observed, kind_scores=scores, score=sum(scores))


def touches(removed: LocatedArray, told: Detection) -> bool:
    """Whether any of these rows may have been counted in a window."""
    occurred = removed["occurred"].astype(np.int64)
    return bool((within(removed, told) & during(occurred, told.as_of - told.span_s, told.as_of)).any())
