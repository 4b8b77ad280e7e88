"""Metrics of a backtest that nobody ran: a full one for the report's tests, made by seed, and its parts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np

from schemas.backtest import (
    BacktestMetrics,
    Capture,
    Code,
    Data,
    Effect,
    Episode,
    Fraction,
    MethodResult,
    NullCheck,
    Overlap,
    Quartiles,
    Reliability,
    SourceFacts,
)
from schemas.detection import DetectionSettings
from schemas.heldout import BaselineReport, CalibrationBin, Forecast, KindReport, Method, Part, promises_of

FIRST, LAST = date(2014, 1, 1), date(2016, 12, 31)
METHODS = ("monitor", "permutation", "threshold", "ears-c2", "gi-star", "cusum")


def fraction(found: int, planted: int, days: float | None = 3.0) -> Fraction:
    """Of so many; Wilson's interval."""
    part, z = found / planted, 1.96
    middle = (part + z**2 / (2 * planted)) / (1 + z**2 / planted)
    wide = z / (1 + z**2 / planted) * math.sqrt(part * (1 - part) / planted + z**2 / (4 * planted**2))
    known = days if found else None
    return Fraction(
        planted=planted,
        found=found,
        fraction=part,
        low=max(middle - wide, 0),
        high=min(middle + wide, 1),
        median_days=known,
        lower_quartile_days=known and known * 0.6,
        upper_quartile_days=known and known * 1.9,
    )


def episode(number: int, rng: np.random.Generator, **changes: Any) -> Episode:
    """One of a city of forty kilometres, opened in the period."""
    opened = datetime(2014, 1, 1, 14, 15, tzinfo=UTC) + timedelta(days=float(rng.uniform(0, 1090)))
    east, north = rng.normal(0, 5_000), rng.normal(0, 9_000)
    observed, usual = int(rng.integers(4, 14)), float(rng.uniform(0.4, 3))
    second = int(rng.integers(0, 3)) if number % 3 else 0
    interval = float(np.exp(rng.uniform(np.log(14), np.log(2_000))))
    fields: dict[str, Any] = {
        "episode_id": f"chicago-{number:04d}",
        "opened": opened,
        "closed": opened + timedelta(days=float(rng.exponential(6) + 0.5)),
        "longitude": -87.65 + east / 83_000,
        "latitude": 41.85 + north / 111_000,
        "x": 358_000 + east,
        "y": 578_000 + north,
        "radius_m": float(rng.choice([125, 375, 625, 1125, 2125])),
        "span_hours": float(rng.choice([24, 72, 168, 336, 672])),
        "observed": {"police": observed, "ed": second},
        "expected": {"police": usual, "ed": usual / 8},
        "evidence": "both" if second > 1 else "police_only",
        "recurrence_days": interval,
        "highest_recurrence_days": interval * float(rng.uniform(1, 9)),
        "revisions": int(rng.integers(1, 6)),
        "headline": f"Violence is emerging within 625 m of 41.8513°N 87.6498°W: {observed + second} incidents in "
        f"7 days where {usual * 9 / 8:.1f} is usual (police {observed}; ED {second}); by chance alone about once in "
        f"{interval:.0f} days across the whole area.",
    }
    return Episode(**(fields | changes))


def episodes(n: int, seed: int = 5) -> tuple[Episode, ...]:
    """In order of opening."""
    rng = np.random.default_rng(seed)
    return tuple(sorted((episode(k, rng) for k in range(n)), key=lambda e: e.opened))


def result(method: str, opened: int, part: float, days: float) -> MethodResult:
    """A method that finds about this part of three hundred planted hotspots."""

    def some(planted: int, times: float) -> Fraction:
        return fraction(min(round(planted * part * times), planted), planted, days / times)

    traits = {
        "incidents": {"6": some(100, 0.4), "12": some(100, 1.0), "25": some(100, 1.6)},
        "place": {"quiet": some(100, 1.3), "medium": some(100, 1.0), "busy": some(100, 0.7)},
        "hours": {"usual": some(200, 1.0), "weekend-nights": some(100, 1.0)},
    }
    return MethodResult(
        method=method,
        level=6.25,
        episodes=opened,
        episodes_per_28_days=opened / 1096 * 28,
        episodes_by_year={"2014": opened // 3, "2015": opened // 3, "2016": opened - 2 * (opened // 3)},
        run_length=Quartiles(n=opened - 1, mean=1096 / opened, lower=3.6, median=9.6, upper=18.0),
        all=some(300, 1.0),
        found_days=tuple(
            np.sort(np.random.default_rng(7).exponential(days * 1.4, some(300, 1.0).found)).round(2).tolist()
        ),
        by_name={"burst": some(150, 1.2), "slow & quiet": some(150, 0.8)},
        by_place=traits["place"],
        by_trait=traits,
        conditional_delay=Quartiles(n=120, mean=days * 1.4, lower=days * 0.6, median=days, upper=days * 1.9),
        overlap=Overlap(found=120, precision=0.41, recall=0.68),
        capture=tuple(
            Capture(area=area, hit_rate=hit, pai=hit / area, pei=hit / (area**0.5))
            for area, hit in ((0.01, 0.05 * part / 0.5), (0.05, 0.17 * part / 0.5))
        )
        if method != "permutation"
        else (),
    )


def part(name: str, observed: int, expected: float, whole: bool = True) -> Part:
    """Observed and expected of something."""
    return Part(
        name=name,
        whole=whole,
        observed=observed,
        expected=expected,
        ratio=observed / expected if expected else None,
        chance=1.96 / math.sqrt(expected) if expected else None,
    )


def _parts(names: Sequence[str], total: float, off: float, seed: int) -> tuple[Part, ...]:
    rng = np.random.default_rng(seed)
    wave = 1 + 0.35 * np.sin(np.arange(len(names)) * 2 * np.pi / 12 - 2)
    each = total * wave / wave.sum()
    return tuple(
        part(name, int(rng.poisson(of * (1 + rng.normal(0, off)))), float(of))
        for name, of in zip(names, each, strict=True)
    )


def kind_report(kind: str = "police", total: float = 13_700.0) -> KindReport:
    """Three years of one kind."""
    years = _parts(["2014", "2015", "2016"], total, 0.02, 1)
    months = _parts([f"{year}-{month:02d}" for year in (2014, 2015, 2016) for month in range(1, 13)], total, 0.06, 2)
    blocks = _parts(["weekday day", "weekday night", "weekend day", "weekend night"], total, 0.02, 3)
    hours = _parts([f"{hour:02d}" for hour in range(24)], total, 0.03, 4)
    names = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
    weekdays = _parts(names, total, 0.01, 5)
    deviances: dict[Method, float | None] = {
        "baseline": 0.11622,
        "same_weeks_of_two_years": None,
        "last_8_weeks": 0.12419,
        "all_past_weeks": 0.11953,
    }
    forecasts = tuple(
        Forecast(method=method, deviance=value, crps=value and value / 8) for method, value in deviances.items()
    )
    bounds = [0.0, 0.003, 0.01, 0.03, 0.1, 0.3]
    bins = tuple(
        CalibrationBin(
            at_least=low, below=high, cell_weeks=n, observed=seen, expected=seen / ratio if ratio else 3.0, ratio=ratio
        )
        for low, high, n, seen, ratio in zip(
            bounds,
            [*bounds[1:], None],
            [200_000, 150_000, 80_000, 40_000, 5_000, 120],
            [0, 800, 1600, 2400, 800, 52],
            [None, 1.08, 0.98, 1.01, 0.97, 0.88],
            strict=True,
        )
    )
    return KindReport(
        kind="police" if kind == "police" else "ed",
        days=1096,
        days_without=0,
        total=part("all", round(total * 1.012), total),
        by_year=years,
        by_month=months,
        by_block=blocks,
        by_hour=hours,
        by_weekday=weekdays,
        weeks=156,
        cell_weeks=475_120,
        forecasts=forecasts,
        calibration=bins,
        promises=promises_of(years, months, blocks, hours, weekdays, forecasts),
    )


def metrics(**changes: Any) -> BacktestMetrics:
    """A full one: eighty episodes of the monitor, five other methods, everything measured."""
    settings = DetectionSettings()
    levels = ((83, 0.52, 3.1), (80, 0.45, 4.0), (82, 0.31, 4.9), (83, 0.29, 5.2), (79, 0.22, 6.0), (81, 0.5, 3.4))
    observed = [(14.0, 96), (28.0, 50), (50.0, 31), (100.0, 12), (200.0, 9), (365.0, 2)]
    reliability = tuple(
        Reliability(at_least_days=at, expected=1456 / at, observed=n, ratio=n * at / 1456, low=n * at / 1456 * 0.7,
                    high=n * at / 1456 * 1.5 + 0.1)
        for at, n in observed
    )  # fmt: skip
    effects = (
        Effect(group="delay", name="as-recorded", same=True, episodes_per_28_days=2.12, all=fraction(156, 300, 3.1)),
        Effect(group="delay", name="usual", episodes_per_28_days=2.04, all=fraction(147, 300, 3.9)),
        Effect(group="delay", name="weekly", episodes_per_28_days=2.07, all=fraction(120, 300, 6.2)),
        Effect(
            group="source", name="police and EDs", same=True, episodes_per_28_days=2.12, all=fraction(156, 300, 3.1)
        ),
        Effect(group="source", name="police alone", episodes_per_28_days=2.02, all=fraction(98, 300, 3.3)),
        Effect(group="setting", name="as set", same=True, episodes_per_28_days=2.12, all=fraction(156, 300, 3.1)),
        Effect(group="setting", name="budget 1", episodes_per_28_days=1.11, all=fraction(131, 300, 3.8)),
        Effect(group="setting", name="budget 4", episodes_per_28_days=4.4, all=fraction(199, 300, 2.6)),
    )
    fields: dict[str, Any] = {
        "region": "chicago",
        "region_name": "Chicago",
        "timezone": "America/Chicago",
        "first": FIRST,
        "last": LAST,
        "records": 32_417,
        "lateness": "as-recorded",
        "budget_per_28_days": 2.0,
        "seed": 1,
        "runs": 41,
        "options": ("records.csv.gz", "--region", "chicago.toml", "--train-until", "2013-12-31", "--inject", "a'b.csv"),
        "data": Data(
            file="records.csv.gz",
            sha256="9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            first=date(2010, 1, 1),
            last=LAST,
            sources=(
                SourceFacts(source="chicago-code", kind="police", records=27_417),
                SourceFacts(source="simulated-second", kind="ed", records=5_000, simulated=True),
            ),
            attribution="Data from the City of Chicago, modified for use from its original source",
        ),
        "code": Code(version="0.1.0", commit="2917c6c0ffee2917c6c0ffee2917c6c0ffee2917", changed=False),
        "settings": settings,
        "methods": tuple(result(name, *level) for name, level in zip(METHODS, levels, strict=True)),
        "episodes": episodes(83),
        "expectation": BaselineReport(
            region="chicago", first=FIRST, last=LAST, fits=157, settings=settings,
            kinds=(kind_report("police"), kind_report("ed", 2_400.0)),
        ),
        "null": NullCheck(
            years=52.0, histories=13, episodes_per_28_days=1.85,
            run_length=Quartiles(n=1_240, mean=15.1, lower=4.5, median=10.6, upper=20.9), reliability=reliability,
        ),
        "effects": effects,
    }  # fmt: skip
    return BacktestMetrics(**(fields | changes))


def bare(**changes: Any) -> BacktestMetrics:
    """The least that there may be: the monitor alone, nothing planted, nothing else measured."""
    alone = MethodResult(
        method="monitor", level=1.0, episodes=0, episodes_per_28_days=0.0, all=None, by_name={}, by_place={}
    )
    little: dict[str, Any] = {"methods": (alone,), "episodes": (), "expectation": None, "null": None, "effects": ()}
    return metrics(**(little | {"runs": 0} | changes))
