"""The alarm budget on years of Chicago, as known at each moment: on simulated and on real incidents."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from bench.source import CHICAGO, data_path
from cli.incident_rows import read_rows
from processors.detector import Detector
from processors.public_holidays import PublicHolidays
from processors.verify import NullRate, null_rate, null_records, tracks_opened
from schemas.detection import DetectionSettings
from schemas.located import LocatedArray
from schemas.region import RegionFile, load_region
from schemas.settings import load_settings
from tests.test_feeds_and_alerts import BEGIN, SETTINGS, WEEKLY, history

ROOT = Path(__file__).resolve().parent.parent
DATA = data_path(CHICAGO)
BUDGET = DetectionSettings().budget_per_28d
# Years, and kernels to compile: an alarm that goes off amid a kernel would end the whole run.
pytestmark = pytest.mark.timeout(1800)


def fresh(region: RegionFile, settings: DetectionSettings) -> Detector:
    return Detector(settings, region.zone, PublicHolidays(region.holidays))


@pytest.fixture(scope="module")
def region() -> RegionFile:
    return load_region(ROOT / "regions" / "chicago.toml")


@pytest.fixture(scope="module")
def rows(region: RegionFile) -> LocatedArray:
    if not DATA.exists():
        pytest.skip(f"there is no {DATA}: name the folder with HOTSPOT_DATA")
    return read_rows(DATA, region, date(2016, 12, 31), load_settings())


def at(year: int) -> int:
    return int(datetime(year, 1, 1, tzinfo=UTC).timestamp())


class Years(NamedTuple):
    """What the detector found."""

    simulated: NullRate
    opened: int
    """Tracks of three real years."""


@pytest.fixture(scope="module")
def years(region: RegionFile, rows: LocatedArray) -> Years:
    """Simulated and real ones beside each other, as either takes a minute or two."""

    def simulate() -> NullRate:
        taught = fresh(region, DetectionSettings())
        taught.apply(rows[rows["recorded_us"] < at(2014) * 1_000_000])
        assert taught.look(at(2014)).calibration is not None
        return null_rate(taught, fresh(region, DetectionSettings()), years=5, seed=1)

    with ThreadPoolExecutor() as threads:
        simulated = threads.submit(simulate)
        opened = threads.submit(tracks_opened, fresh(region, DetectionSettings()), rows, at(2014))
        return Years(simulated.result(), len(opened.result()))


def test_five_simulated_years_keep_the_budget_within_a_quarter(years: Years) -> None:
    """Chance moves the rate of five years by a twelfth, the error of thresholds by about as much."""
    assert years.simulated.days == 5 * 364
    assert years.simulated.per_28_days == pytest.approx(BUDGET, rel=0.25)


def test_three_real_years_stay_below_one_and_a_half_times_the_budget(years: Years) -> None:
    per_28_days = years.opened / ((at(2017) - at(2014)) / 86_400) * 28
    assert 0.5 * BUDGET < per_28_days <= 1.5 * BUDGET


def test_simulated_records_are_as_late_as_their_feeds() -> None:
    rows = history()
    region = load_region(ROOT / "regions" / "hampshire.toml")
    taught = fresh(region, SETTINGS)
    taught.apply(rows[rows["recorded_us"] <= BEGIN * 1_000_000])
    taught.look(BEGIN)
    baseline = taught.baseline
    assert baseline is not None
    null = null_records(baseline, taught.variation(), taught.local, 12, np.random.default_rng(1))
    again = null_records(baseline, taught.variation(), taught.local, 12, np.random.default_rng(1))
    assert (null == again).all()
    assert (np.diff(null["recorded_us"]) >= 0).all()
    weekly = null[null["source"] == WEEKLY]
    assert weekly.size / 84 == pytest.approx(5.0, rel=0.25)
    # It comes on Mondays at six, and at no other time.
    hours = np.unique((weekly["recorded_us"] // 1_000_000 - BEGIN) // 3600 % 168)
    assert hours.size <= 2
    assert (weekly["recorded_us"] >= weekly["occurred"] * 1_000_000).all()
