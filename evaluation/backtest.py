"""A backtest: the monitor and other methods over a past period, with and without planted hotspots, on all cores."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from evaluation.capture import COUNTED_DAYS
from evaluation.effects import Variant, Way, planned, variants
from evaluation.jobs import (
    EPOCH,
    PLAIN,
    MethodDone,
    MethodJob,
    MonitorDone,
    MonitorJob,
    Planted,
    Results,
    Scene,
    jobs_of,
    work,
)
from evaluation.matching import Found, found
from evaluation.measures import by_trait, conditional_delay, fraction, fractions, overlap, quartiles, run_lengths
from evaluation.methods import level_of, opened
from evaluation.monitored import Told
from evaluation.nulls import null_check
from evaluation.plan import MONITOR, Plan
from evaluation.tracks import Opened, lives_of
from processors.localtime import DAY_S
from schemas.backtest import Capture, Effect, Episode, MethodResult, NullCheck, Ranking
from schemas.base import moment
from schemas.heldout import BaselineReport


@dataclass(frozen=True)
class Outcome:
    """What a backtest measured."""

    methods: tuple[MethodResult, ...]
    """The monitor first."""
    episodes: tuple[Episode, ...]
    expectation: BaselineReport | None
    rankings: tuple[Ranking, ...]
    null: NullCheck | None
    effects: tuple[Effect, ...]
    runs: int
    """Copies of the history that hotspots were planted into."""


@dataclass(frozen=True)
class _Run:
    """What one method opened in one copy of the history, and what had been planted there."""

    opened: Opened
    planted: Planted


def run_backtest(plan: Plan, tell: Callable[[int, int], None] = lambda done, total: None) -> Outcome:
    """Do all that the plan says; `tell` is told how many parts are done, of how many.

    Methods that look at one source see the records of the first kind alone (police, where there are any). Raises
    NoRoomError and NoBaselineError.
    """
    scene = Scene(plan)
    tried = variants(plan)
    ways = list(dict.fromkeys([planned(plan), *(variant.way for variant in tried)]))
    results = work(scene, jobs_of(scene, ways), tell)
    plain = results.monitor[MonitorJob(planned(plan), PLAIN)]
    captured = plain.rankings | {name: results.rankings[name] for name in COUNTED_DAYS}
    monitor = _result(plan, MONITOR, 1.0, _of_monitor(plan, results, planned(plan), scene), captured[MONITOR])
    others = [_of_method(plan, name, monitor.episodes, results, scene, captured) for name in plan.methods]
    return Outcome(
        methods=(monitor, *others),
        episodes=tuple(episode_of(told) for told in plain.watched.since(plan.since)),
        expectation=results.expectation,
        rankings=tuple(Ranking(name=name, capture=capture) for name, capture in captured.items() if name != MONITOR),
        null=null_check(plan, [done for _, done in sorted(results.nulls.items())]) if results.nulls else None,
        effects=tuple(_effect(plan, variant, results, scene) for variant in tried),
        runs=len(scene.runs),
    )


def _of_monitor(plan: Plan, results: Results, way: Way, scene: Scene) -> list[_Run]:
    done: list[MonitorDone] = [results.monitor[MonitorJob(way, run)] for run in range(PLAIN, len(scene.runs))]
    return [_Run(one.watched.opened(plan.since), one.planted) for one in done]


def _of_method(
    plan: Plan,
    name: str,
    allowed: int,
    results: Results,
    scene: Scene,
    captured: dict[str, tuple[Capture, ...]],
) -> MethodResult:
    """At the level at which it opens no more episodes than the monitor where nothing is planted."""
    done: list[MethodDone] = [results.methods[MethodJob(name, run)] for run in range(PLAIN, len(scene.runs))]
    level = level_of(done[0].seen, plan.since, allowed)
    assert opened(done[0].seen, plan.since, level).when.size <= allowed
    runs = [_Run(Opened.of(lives_of(one.seen, level), plan.since), one.planted) for one in done]
    ground = captured["last_8_weeks"] if name == "threshold" else ()
    return _result(plan, name, level, runs, ground)


def _result(plan: Plan, name: str, level: float, runs: Sequence[_Run], capture: tuple[Capture, ...]) -> MethodResult:
    """`runs`: the plain history first."""
    when = runs[0].opened.openings.when.tolist()
    hotspots = _found(plan, runs)
    return MethodResult(
        method=name,
        level=level,
        episodes=len(when),
        episodes_per_28_days=_per_28_days(plan, len(when)),
        episodes_by_year=_by_year(plan, when),
        run_length=quartiles(run_lengths(when)),
        all=fraction(hotspots) if hotspots else None,
        found_days=tuple(sorted(one.days for one in hotspots if one.days is not None)),
        by_name=fractions(hotspots, lambda spec: spec.name),
        by_place=fractions(hotspots, lambda spec: spec.place or "anywhere"),
        by_trait=by_trait(hotspots),
        conditional_delay=conditional_delay(hotspots),
        standing=sum(one.stood for one in hotspots),
        overlap=overlap(hotspots),
        capture=capture,
    )


def _found(plan: Plan, runs: Sequence[_Run]) -> list[Found]:
    matched = [found(run.planted.hotspots, run.planted.shown, run.opened, plan.region.cell_m) for run in runs]
    return [one for of_run in matched for one in of_run]


def _effect(plan: Plan, variant: Variant, results: Results, scene: Scene) -> Effect:
    runs = _of_monitor(plan, results, variant.way, scene)
    hotspots = _found(plan, runs)
    return Effect(
        group=variant.group,
        name=variant.name,
        same=variant.way == planned(plan),
        episodes_per_28_days=_per_28_days(plan, runs[0].opened.openings.when.size),
        all=fraction(hotspots) if hotspots else None,
    )


def _per_28_days(plan: Plan, episodes: int) -> float:
    return episodes / ((plan.until - plan.since) / DAY_S) * 28


def _by_year(plan: Plan, when: Sequence[int]) -> dict[str, int]:
    """Each local year of the period, those without an episode too."""
    first, last = (_date(plan, at).year for at in (plan.since, plan.until - 1))
    n = Counter(_date(plan, at).year for at in when)
    return {str(year): n[year] for year in range(first, last + 1)}


def _date(plan: Plan, at: int) -> date:
    return EPOCH + timedelta(days=plan.local.day(at))


def episode_of(told: Told) -> Episode:
    """An episode as the contract has it."""
    opening = told.opening
    window = opening.window
    return Episode(
        episode_id=opening.episode_id,
        opened=opening.opened_at,
        closed=None if told.closed_at is None else moment(told.closed_at),
        longitude=window.longitude,
        latitude=window.latitude,
        x=window.easting,
        y=window.northing,
        radius_m=window.radius_m,
        span_hours=(window.end - window.start).total_seconds() / 3600,
        observed=opening.observed,
        expected=opening.expected,
        evidence=opening.evidence,
        recurrence_days=opening.recurrence_interval_days,
        highest_recurrence_days=round(told.highest_days, 1),
        revisions=told.revisions,
        headline=opening.headline,
    )
