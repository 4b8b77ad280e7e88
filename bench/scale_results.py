"""What `make scale` found: a result for each number of workers, kept beside the plan that it belongs to."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from pydantic import Field

from bench.scale_history import Plan
from schemas.base import Contract, UtcTime

#: What a run takes on two cores of a small server, to say beforehand how long it will be: records a second that are
#: simulated, published and taken in; seconds for the first look at a region, for each day of its calibration and for
#: each of its records; and all that does not depend on size.
SIMULATED_PER_S: Final = 20_000.0
PUBLISHED_PER_S: Final = 100_000.0
LOADED_PER_S: Final = 8_000.0
LOOK_S, LOOK_CALIBRATION_DAY_S, LOOK_RECORD_S = 0.5, 0.015, 5e-5
ELSE_S: Final = 400.0


class Latency(Contract):
    """From a record published to the alert revision read."""

    p50_ms: float
    p99_ms: float
    alerts: int
    published: int
    """Hotspots made or taken back."""
    records_per_second: float
    """Published beside them."""


class Result(Contract):
    """What a number of workers came to. Lists have an entry a worker."""

    workers: int
    measured_at: UtcTime
    cores: int
    machine: str
    load_before: float = 0.0
    """Load average of five minutes before the program began anything: about 0 on a quiet machine."""
    history_until: UtcTime
    records: int
    """Revisions of the history."""
    regions_looked_at: int
    """Those with enough records to learn from; what is said of every region is of them."""
    peak_hour: int
    load_seconds: float
    """From the first assignment of partitions until the last record was settled."""
    load_busy_seconds: float
    """Processor time of the workers meanwhile, all together."""
    first_looks_seconds: float
    """From then until each region had a baseline, a calibration and a look."""
    live_records: int
    live_seconds: float
    live_busy_seconds: float
    rss_empty_mib: float
    """Of a worker that has joined and holds nothing."""
    rss_mib: list[float]
    rss_peak_mib: list[float]
    regions: list[int]
    shares: list[float]
    """Of the records."""
    source_mib: float
    located_mib: float
    changelog_mib: float
    """With what is not compacted yet."""
    redis_mib: float
    at_average: Latency
    at_peak: Latency
    takeover_seconds: float | None = Field(
        description="From the kill of one of several, less the session timeout, until each region was looked at."
    )
    rejoin_seconds: float = Field(description="From the start of its successor until partitions were assigned.")
    recovery_seconds: float = Field(description="From that assignment until each region was looked at.")

    @property
    def load_rate(self) -> float:
        """Records a second."""
        return self.records / self.load_seconds

    @property
    def load_rate_per_core(self) -> float:
        """Records a second of processor time."""
        return self.records / self.load_busy_seconds

    @property
    def live_rate(self) -> float:
        """Records a second, looks included."""
        return self.live_records / self.live_seconds

    @property
    def live_rate_per_core(self) -> float:
        """Records a second of processor time."""
        return self.live_records / self.live_busy_seconds


class Results(Contract):
    """The results of one plan."""

    plan: Plan
    by_workers: dict[int, Result] = Field(default_factory=dict)

    def with_result(self, result: Result) -> Results:
        """These and one more, which takes the place of an older one for as many workers."""
        return self.model_copy(update={"by_workers": {**self.by_workers, result.workers: result}})

    @property
    def in_order(self) -> list[Result]:
        """By number of workers."""
        return [self.by_workers[workers] for workers in sorted(self.by_workers)]


def read_results(path: Path, plan: Plan) -> Results:
    """What was measured of this plan before; nothing where the file has another plan or is not there."""
    if path.exists():
        kept = Results.model_validate_json(path.read_text(encoding="utf-8"))
        if kept.plan == plan:
            return kept
    return Results(plan=plan)


def write_results(path: Path, results: Results) -> None:
    """Keep them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(results.model_dump_json(indent=2) + "\n", encoding="utf-8")


def expected_seconds(plan: Plan, runs: int, regions: int, *, simulated: bool) -> float:
    """How long so many runs will take, and the simulation before them unless it is there. A guess."""
    records = plan.simulated_per_year * plan.years
    looks = regions * (LOOK_S + LOOK_CALIBRATION_DAY_S * plan.calibration_days) + records * LOOK_RECORD_S
    each = records / PUBLISHED_PER_S + records / LOADED_PER_S + looks + ELSE_S
    return runs * each + (0.0 if simulated else records / SIMULATED_PER_S)
