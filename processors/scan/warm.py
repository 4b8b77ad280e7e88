"""Compiles the kernels of a scan, or loads them from the cache, so that its time is that of the scan alone."""

from __future__ import annotations

import sys
from datetime import date
from importlib import import_module

import numpy as np

from processors.scan.inputs import CaseRows, Places, PopulationRows, ScanInput
from processors.scan.run import run_scan
from schemas.scan import ScanJob

_BLAS = "scipy.linalg.cython_blas"
_START, _END = date(2024, 1, 1), date(2024, 1, 20)
_PLACES = 3


def warm_up(job: ScanJob, given: ScanInput) -> None:
    """Run a scan of the same kind over three places and twenty days.

    A population that stays and one that changes take different ways through the kernels: both, if it may be either.
    """
    _load_numba()
    small = ScanJob(
        model=job.model,
        prospective=job.prospective,
        spherical=job.spherical,
        start=_START,
        end=_END,
        max_time=5,
        replications=2,
    )
    none = np.zeros(_PLACES, np.int64)
    at = np.arange(float(_PLACES))
    days = np.array([_START.toordinal(), _START.toordinal(), _END.toordinal()])
    # Two cases together at the end, and more before elsewhere: a cluster, so that replications follow.
    cases = CaseRows(np.array([0, 2, 1]), days, none + 2, none)
    places = Places(tuple(str(place) for place in range(_PLACES)), at, at)
    years, rows = np.repeat([2024, 2025], _PLACES), np.tile(np.arange(_PLACES), 2)
    nothing = np.zeros(rows.size, np.int64)
    population = given.population
    may_change = population is not None and len(set(zip(*(c.tolist() for c in population[1:4]), strict=True))) > 1
    for change in (0.0, 1.0) if may_change else (0.0,):
        persons = np.concatenate([at + 1.0, at + 1.0 + change * at**2])
        population = PopulationRows(rows, years, nothing, nothing, persons, nothing)
        found = run_scan(small, ScanInput(places, cases, population, 1))
        if not found.replications:
            raise RuntimeError("the cases made up for warming up form no cluster, so not every kernel was compiled")


def _load_numba() -> None:
    """Load what Numba needs with its first kernel, without SciPy's linear algebra, a tenth of a second.

    Numba looks whether there is any, and would remember for `np.cov` alone, which no kernel uses, that there is none.
    """
    if _BLAS in sys.modules:
        return
    sys.modules[_BLAS] = None  # type: ignore[assignment]  # so an import says that it is not there
    try:
        import_module("numba.np.arraymath")
    finally:
        del sys.modules[_BLAS]
