"""A second source where there is none: part of the incidents of a history, told by another source. Simulated."""

from __future__ import annotations

from typing import Final

import numpy as np

from processors.arrays import Ints
from processors.feeds import codes_of
from schemas.base import ToldError
from schemas.located import KIND_NAMES, Kind, LocatedArray, join, pack_cell
from schemas.region import RegionFile, Source

SECOND: Final = "simulated-second"


class NotOneSourceError(ToldError, ValueError):
    """A history that has two sources as it is."""


def split_second(
    rows: LocatedArray, region: RegionFile, part: float, rng: np.random.Generator
) -> tuple[LocatedArray, RegionFile]:
    """The rows, a part of the incidents as told by a source of the other kind, and the region with that source.

    Records of the same minute and cell stay together, for they are victims of one incident; so do the revisions of a
    record. Raises NotOneSourceError.
    """
    codes = np.unique(codes_of(rows))
    if codes.size != 1:
        raise NotOneSourceError(f"Only a history of one source can be split; this one has {codes.size}.")
    if any(source.id == SECOND for source in region.sources):
        raise NotOneSourceError(f"The region {region.id} has a source {SECOND} already.")
    other = Kind(1 - (int(codes[0]) >> 16))
    split = join([rows])
    incident = _incidents(rows)
    chosen = (rng.random(int(incident.max()) + 1) < part)[incident]
    split["kind"][chosen] = other
    split["source"][chosen] = len(region.sources)
    kind = "ed" if KIND_NAMES[other] == "ed" else "police"
    second = Source(id=SECOND, kind=kind, name="simulated: part of the records of the other source")
    return split, region.model_copy(update={"sources": (*region.sources, second)})


def _incidents(rows: LocatedArray) -> Ints:
    """A number for the minute and cell in which each row's record was first said to have happened."""
    order = np.lexsort((rows["recorded_us"], rows["revision"], rows["record"]))
    _, first, record = np.unique(rows["record"][order], return_index=True, return_inverse=True)
    told = rows[order][first]
    place = np.stack([pack_cell(told["ix"], told["iy"]), told["occurred"] // 60])
    incident = np.unique(place, axis=1, return_inverse=True)[1].ravel()
    of_row: Ints = np.empty(rows.size, np.int64)
    of_row[order] = incident[record.ravel()]
    return of_row
