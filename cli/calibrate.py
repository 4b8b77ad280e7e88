"""`hotspot calibrate`: the threshold that keeps a region's alarm budget, as an artefact, and a check that it does."""

from __future__ import annotations

from datetime import datetime, time
from pathlib import Path

import click

from cli.incident_rows import read_rows
from processors.calibration import Calibration
from processors.detector import Detector
from processors.public_holidays import PublicHolidays
from processors.verify import null_rate
from processors.warm import warm_up
from schemas.base import ToldError, moment
from schemas.calibration import CalibrationReport, KindVariation, NullCheck, Recurrence
from schemas.located import KIND_NAMES, LocatedArray
from schemas.region import RegionFile, load_region
from schemas.settings import Settings, load_settings

DAY = click.DateTime(formats=["%Y-%m-%d"])
#: Scores in the table of recurrence intervals, as parts of the threshold.
TABLE = (0.75, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0, 3.0)


class CalibrateError(ToldError, RuntimeError):
    """A calibration that cannot be made; the message is one sentence."""


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--region", "region_file", type=click.Path(path_type=Path), required=True, help="Region file (TOML).")
@click.option("--as-of", "as_of", type=DAY, required=True, help="Last day that is known, in the region's zone.")
@click.option("--budget", type=click.FloatRange(0, 100, min_open=True), help="False episodes in 28 days.")
@click.option("--check-years", type=click.IntRange(0, 50), default=0, help="Simulated years to try it on; 0 for none.")
@click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True, help="Of the simulated years.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="The calibration, as JSON.")
def calibrate(
    file: Path,
    region_file: Path,
    as_of: datetime,
    budget: float | None,
    check_years: int,
    seed: int,
    out: Path | None,
) -> None:
    """Find the threshold that keeps the alarm budget, from what FILE (CSV or CSV.gz) had recorded by a day.

    The baseline is fitted, how much history varies beyond chance is measured, and years of nothing but that are
    simulated through the looks and the tracking of the worker. Tells threshold, error and recurrence intervals. With
    --check-years, fresh simulated years go through a whole detector that knows nothing, and its rate of new episodes
    is told beside the budget.

    \b
    Example:
      hotspot calibrate records.csv.gz --region regions/chicago.toml --as-of 2013-12-31 --check-years 5 --out cal.json
    """
    if out and not out.parent.is_dir():
        raise click.UsageError(f"There is no folder {out.parent}.")
    settings = load_settings()
    if budget is not None:
        detection = settings.detection.model_copy(update={"budget_per_28d": budget})
        settings = settings.model_copy(update={"detection": detection})
    region = load_region(region_file)
    rows = read_rows(file, region, as_of.date(), settings)
    warm_up()
    detector = _taught(rows, region, as_of, settings)
    check = _check(detector, region, settings, check_years, seed) if check_years else None
    report = report_on(detector, region, check)
    if out:
        _write(report, out)
    click.echo("\n".join(summary(report)))


def _taught(rows: LocatedArray, region: RegionFile, as_of: datetime, settings: Settings) -> Detector:
    """A detector that knows what had been recorded by the end of a day, and has calibrated itself."""
    end = int(datetime.combine(as_of.date(), time.max, region.zone).timestamp())
    detector = Detector(settings.detection, region.zone, PublicHolidays(region.holidays))
    detector.apply(rows[rows["recorded_us"] <= end * 1_000_000])
    if detector.look(end).calibration is None:
        needed = settings.detection.min_history_days + settings.detection.guard_days
        raise CalibrateError(
            f"There is no baseline as of {as_of.date()}: it needs {needed} days of records, and enough of them."
        )
    return detector


def _check(taught: Detector, region: RegionFile, settings: Settings, years: int, seed: int) -> NullCheck:
    """Simulated years through a detector of their own, with a progress bar on stderr."""
    fresh = Detector(settings.detection, region.zone, PublicHolidays(region.holidays))
    baseline = taught.baseline
    assert baseline is not None
    length = (years + 1) * 364
    bar_file = click.get_text_stream("stderr")
    with click.progressbar(length=length, label="Simulated days", show_pos=True, file=bar_file) as bar:
        begin = baseline.fitted_at
        rate = null_rate(
            taught, fresh, years, seed, lambda as_of: bar.update(min((as_of - begin) // 86_400, length) - bar.pos)
        )
    return NullCheck(years=years, seed=seed, episodes=rate.episodes, per_28_days=round(rate.per_28_days, 3))


def report_on(detector: Detector, region: RegionFile, check: NullCheck | None) -> CalibrationReport:
    """The artefact of a calibrated detector."""
    made = detector.calibration
    assert made is not None
    return CalibrationReport(
        region=region.id,
        made_as_of=moment(made.made_at),
        fingerprint=made.fingerprint,
        budget_per_28d=detector.settings.budget_per_28d,
        threshold=round(made.threshold, 4),
        threshold_error=round(made.threshold_error, 4),
        closing_level=round(made.floor, 4),
        simulated_days=made.simulated_days,
        peaks=made.n_peaks,
        tail_start=round(made.tail_start, 4),
        tail_shape=round(made.tail_shape, 4),
        tail_scale=round(made.tail_scale, 4),
        shared_events=round(made.twins, 4),
        variation=tuple(_variation(made, k) for k in range(len(KIND_NAMES))),
        recurrence=tuple(
            Recurrence(
                score=round(part * made.threshold, 3), days=round(made.recurrence_days(part * made.threshold), 1)
            )
            for part in TABLE
        ),
        check=check,
        settings=detector.settings,
    )


def _variation(made: Calibration, kind: int) -> KindVariation:
    return KindVariation(
        kind=KIND_NAMES[kind],
        incidents_a_year=round(made.yearly[kind], 1),
        common=round(made.dispersion.common[kind], 4),
        weekly=round(made.dispersion.weekly[kind], 4),
        echoes=round(made.echoes[kind], 4),
    )


def summary(report: CalibrationReport) -> list[str]:
    """The artefact as text, a line each."""
    lines = [
        f"{report.region}, as of {report.made_as_of:%Y-%m-%d}: {report.budget_per_28d:g} false episodes in 28 days.",
        f"  threshold {report.threshold:.2f} ± {report.threshold_error:.2f}, closing level {report.closing_level:.2f}",
        f"  from {report.peaks} peaks in {report.simulated_days} simulated days; fingerprint {report.fingerprint}",
        "  score     once in days, by chance",
    ]
    lines += [f"  {row.score:<10.2f}{row.days:,.1f}" for row in report.recurrence]
    if report.check:
        check = report.check
        lines.append(
            f"  On {check.years} fresh simulated years: {check.episodes} episodes, {check.per_28_days:.2f} in 28 days"
            f" ({check.per_28_days / report.budget_per_28d:.2f} of the budget)."
        )
    return lines


def _write(report: CalibrationReport, path: Path) -> None:
    try:
        path.write_text(report.model_dump_json(indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise CalibrateError(f"The file {path} cannot be written: {error.strerror}.") from None
