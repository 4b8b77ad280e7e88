"""What a scan is given: cases, places and population as columns, as they stand in the files of established tools."""

from __future__ import annotations

from typing import NamedTuple

from processors.arrays import Floats, Ints


class Places(NamedTuple):
    """Locations in the order of their file."""

    ids: tuple[str, ...]
    first: Floats
    """x, or latitude in degrees."""
    second: Floats
    """y, or longitude in degrees."""


class CaseRows(NamedTuple):
    """Lines of a case file."""

    place: Ints
    """Row of the location in `Places`."""
    day: Ints
    """Proleptic Gregorian ordinal of the date; of a year or a month its first day."""
    number: Ints
    stratum: Ints
    """Number of the combination of covariates, from 0; the same numbers as in the population."""


class PopulationRows(NamedTuple):
    """Lines of a population file."""

    place: Ints
    year: Ints
    month: Ints
    """0 where the date is a year alone."""
    day: Ints
    """0 where the date has none."""
    persons: Floats
    stratum: Ints


class ScanInput(NamedTuple):
    """All that was read. Strata are numbered over cases and population together."""

    places: Places
    cases: CaseRows
    population: PopulationRows | None
    strata: int
