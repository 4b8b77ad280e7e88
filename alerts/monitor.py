"""The heart: one pure object per region. Records in; detections, episode changes and alerts out.

The Faust agent, replays, benchmarks and tests all drive this object; there is no second path through the logic.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from alerts.episodes import Decision, Episode, close, decide, evidence_changed, open_episode
from alerts.schedule import Arrival, Input, ReplaySchedule
from alerts.wording import evidence_of, headline, per_kind
from processors.calibration import MOST_DAYS, Calibration
from processors.detector import Detector, Look
from processors.feedhealth import Finding
from processors.grid import Grid
from processors.incidents import incidents
from processors.layers import layer_messages, layers
from processors.permutation import window_p_value
from processors.public_holidays import PublicHolidays
from processors.records import Outcome
from processors.score import surprise
from processors.tracking import Tracker
from schemas.alert import HOURS_NAMES, Alert, AlertReason, DetectedWindow, EpisodeState, LookReport, Window
from schemas.base import Contract, moment
from schemas.detection import Detection, DetectionSettings, WeekPart
from schemas.feeds import FeedNotice, feed_sentence
from schemas.layers import LayerSettings, MapLayers
from schemas.located import HEARTBEAT, Gate, Kind, LocatedArray, join, pick
from schemas.region import RegionFile

#: Most looks of one `advance`: what they found is held in memory until it is sent.
LOOKS_AT_ONCE = 2_000
#: What became of a record, per kind: the accounting that replays and metrics show.
Tally = Counter[tuple[Kind, str]]


@dataclass(frozen=True, slots=True)
class LookOutcome:
    """What one look found and decided."""

    as_of: int
    report: LookReport | None
    """None when no window was above the closing level."""
    alerts: tuple[Alert, ...]
    found: tuple[Detection, ...] = ()
    """The windows of the report as the detector has them."""
    calibration: Calibration | None = None
    """By which they were judged."""


class _State(Contract):
    """The small part of a region's state, as it is kept between restarts."""

    episodes: tuple[Episode, ...]
    tracker: Tracker
    last_look: int
    schedule: tuple[int, tuple[tuple[int, ...], ...]] | None


_STATE = TypeAdapter(_State)


class RegionMonitor:
    """Everything about one region that must be consistent with each other.

    `schedule` is given for the replay clock; without it every call of `advance` ends in one look at the newest moment.
    """

    def __init__(
        self,
        region: RegionFile,
        settings: DetectionSettings,
        *,
        schedule: ReplaySchedule | None = None,
        simulated: bool = False,
    ) -> None:
        self.region = region
        self.detector = Detector(settings, region.zone, PublicHolidays(region.holidays))
        self.episodes: dict[int, Episode] = {}
        self.last_look = 0
        self.calibration: Calibration | None = None
        self._settings = settings
        self._grid = Grid(region)
        self._tracker = Tracker()
        self._schedule = schedule
        self._simulated = simulated
        self._look: Look | None = None
        self._removed: list[LocatedArray] = []
        self._places: dict[tuple[int, int], tuple[float, ...]] = {}

    # --- records in -------------------------------------------------------------------------------------------------

    def apply(self, rows: LocatedArray) -> Tally:
        """Apply revisions in any order, any number of times. Returns what became of each."""
        rows = self.detector.gated(rows)
        applied = self.detector.apply(rows)
        self._note(applied.removed)
        return _tally(rows["kind"], rows["gate"], applied.outcome)

    def advance(
        self, batches: Iterable[Arrival | tuple[LocatedArray, Input, int]], now: int
    ) -> tuple[Tally, list[LookOutcome]]:
        """Apply located batches (rows, input, watermark µs, perhaps offsets), and look when it is time.

        Wall clock: one look, at `now` (seconds). Replay clock: a look at each due moment below the watermark, up to
        LOOKS_AT_ONCE; with as many looks, call again without batches for the rest.
        """
        if self._schedule is None:
            rows = join(batch[0] for batch in batches)
            tally = self.take(rows) if len(rows) else Counter()
            return tally, [self.look(max(now, self.last_look))]
        for batch in batches:
            self._schedule.offer(*batch)
        return self._replay(self._schedule)

    def take(self, rows: LocatedArray) -> Tally:
        """Apply rows as they come from an input, heartbeats among them. Returns what became of the records."""
        return self.apply(pick(rows, rows["revision"] != HEARTBEAT))

    def _replay(self, schedule: ReplaySchedule) -> tuple[Tally, list[LookOutcome]]:
        steps = schedule.due(LOOKS_AT_ONCE)
        gates = self.detector.gated(steps.rows)["gate"]
        outcomes, looks = [], []
        for step in self.detector.run(steps):
            self._note(step.removed)
            outcomes.append(step.outcome)
            looks.append(self._conclude(step.look))
        if not looks:
            return Counter(), []
        return _tally(steps.rows["kind"], gates, np.concatenate(outcomes)), looks

    def _note(self, removed: LocatedArray) -> None:
        """Remember what may be evidence of an episode and counts no more."""
        if len(removed) and self.episodes:
            self._removed.append(removed)

    # --- looks ------------------------------------------------------------------------------------------------------

    def look(self, as_of: int) -> LookOutcome:
        """What is unusual as known at `as_of` (seconds since 1970 UTC), and what people must be told."""
        return self._conclude(self.detector.look(as_of))

    def _conclude(self, look: Look) -> LookOutcome:
        as_of = self.last_look = look.as_of
        self.calibration = look.calibration
        self._look = look
        if look.calibration is None:
            return LookOutcome(as_of, None, ())
        alerts = tuple(self._decide(look.detections, look.calibration, as_of))
        report = self._report(look.detections, look.calibration, as_of) if look.detections else None
        return LookOutcome(as_of, report, alerts, tuple(look.detections), look.calibration)

    def _decide(self, detections: list[Detection], calibration: Calibration, as_of: int) -> Iterator[Alert]:
        yield from self._correct(calibration, as_of)
        step = self._tracker.step(detections, as_of, calibration.threshold, calibration.floor)
        for track in step.opened:
            decision = open_episode(self._episode_id(track.window), track.id, track.window)
            yield from self._settle(decision, calibration, as_of)
        for track in step.continued:
            if track.id in self.episodes:
                episode = self.episodes[track.id]
                yield from self._settle(decide(episode, track.window, calibration.threshold), calibration, as_of)
        for track in step.ended:
            if track.id in self.episodes:
                yield from self._settle(close(self.episodes[track.id]), calibration, as_of)

    def _settle(self, decision: Decision, calibration: Calibration, as_of: int) -> Iterator[Alert]:
        episode, reason = decision
        if episode.state in (EpisodeState.CLOSED, EpisodeState.RETRACTED):
            self.episodes.pop(episode.track, None)
        else:
            self.episodes[episode.track] = episode
        if reason in _NEW_EVIDENCE:
            self.detector.remember(episode.told)
        if reason is not None:
            yield self._alert(episode, reason, calibration, as_of)

    def _correct(self, calibration: Calibration, as_of: int) -> Iterator[Alert]:
        """Count what was told again where records of it are gone."""
        if not self._removed:
            return
        removed = join(self._removed)
        self._removed.clear()
        for episode in list(self.episodes.values()):
            if _touches(removed, episode.told):
                recount = self._recount(episode.told)
                decision = evidence_changed(episode, recount, calibration.floor)
                if decision[0].state is EpisodeState.RETRACTED:
                    self._drop_track(episode.track)
                yield from self._settle(decision, calibration, as_of)

    def _drop_track(self, number: int) -> None:
        self._tracker.tracks = [track for track in self._tracker.tracks if track.id != number]

    def _recount(self, told: Detection) -> Detection:
        """The window that was told, counted again from the records as now known, with the expectation as told."""
        rows = self.detector.store.counted()
        found = incidents(pick(rows, _within(rows, told)), self._settings.merge_minutes * 60)
        held = _during(found.occurred, told)
        if told.part is not WeekPart.ANY and found.occurred.size:
            held &= self.detector.local.week_parts(found.occurred) == told.part
        observed = np.bincount(found.kind[held], minlength=len(Kind))
        # A kind without a baseline was not scored when it was told, and is not now.
        scores = [
            float(surprise(float(count), mean)) if mean > 0 else 0.0
            for count, mean in zip(observed, told.expected, strict=True)
        ]
        return told._replace(
            observed=tuple(int(count) for count in observed), kind_scores=tuple(scores), score=sum(scores)
        )

    def layers(self, settings: LayerSettings) -> Iterator[MapLayers]:
        """The map layers of whole days up to the last look, in messages small enough to send."""
        local = self.detector.local
        today = local.midnight(local.day(self.last_look))
        found = incidents(self.detector.store.counted(), self._settings.merge_minutes * 60)
        if found.occurred.size:
            yield from layer_messages(self.region.id, self._grid, layers(found, today, settings))

    # --- what is said -----------------------------------------------------------------------------------------------

    def _episode_id(self, window: Detection) -> str:
        opened = moment(window.as_of).strftime("%Y%m%dT%H%M%SZ")
        place = f"{self.region.id}/{window.ix}/{window.iy}/{window.radius_cells}/{window.span_s}/{window.as_of}"
        return f"{self.region.id}-{opened}-{hashlib.blake2b(place.encode(), digest_size=4).hexdigest()}"

    def _window(self, detection: Detection) -> Window:
        place = self._places.get((detection.ix, detection.iy))
        if place is None:
            place = (
                *self._grid.centre(detection.ix, detection.iy),
                *(round(degrees, 6) for degrees in self._grid.centre_degrees(detection.ix, detection.iy)),
            )
            self._places[detection.ix, detection.iy] = place
        easting, northing, longitude, latitude = place
        return Window(
            longitude=longitude,
            latitude=latitude,
            easting=easting,
            northing=northing,
            radius_m=self._grid.radius_m(detection.radius_cells),
            start=moment(detection.as_of - detection.span_s),
            end=moment(detection.as_of),
            hours=HOURS_NAMES[detection.part],
        )

    def _alert(self, episode: Episode, reason: AlertReason, calibration: Calibration, as_of: int) -> Alert:
        told, window = episode.told, self._window(episode.told)
        recurrence = calibration.recurrence_days(told.level)
        return Alert(
            episode_id=episode.episode_id,
            revision=episode.revision,
            state=episode.state,
            reason=reason,
            region=self.region.id,
            region_name=self.region.name,
            opened_at=moment(episode.opened_at),
            as_of=moment(as_of),
            window=window,
            observed=_counts(told),
            expected=_expectations(told),
            score=round(told.score, 4),
            recurrence_interval_days=round(recurrence, 1),
            permutation_p_value=self._second_opinion(told) if reason in _NEW_EVIDENCE else None,
            evidence=evidence_of(told),
            effect=_effects(told),
            headline=headline(
                reason,
                episode.state,
                told,
                window,
                recurrence,
                cap=MOST_DAYS,
                simulated=self._simulated,
            ),
            not_known=self.notices(),
            simulated=self._simulated,
        )

    def _second_opinion(self, told: Detection) -> float | None:
        baseline = self.detector.baseline
        if baseline is None:
            return None
        usual = baseline.usual_in(told.ix, told.iy, told.radius_cells)
        p = window_p_value(told.observed, told.around, usual, baseline.incidents.tolist())
        return float(f"{p:.3g}")

    def notices(self) -> tuple[FeedNotice, ...]:
        """What was wrong with feeds as of the last look."""
        return tuple(self._notice(*found) for found in self.detector.notices(self._look)) if self._look else ()

    def _notice(self, found: Finding, heard: int | None) -> FeedNotice:
        sources = self.region.sources
        if found.source >= len(sources):  # the region file has become shorter
            name = ident = f"source {found.source}"
        else:
            ident = sources[found.source].id
            name = sources[found.source].name or ident
        since = None if heard is None else moment(heard)
        return FeedNotice(ident, found.problem, since, feed_sentence(name, found.problem, since))

    def _report(self, detections: list[Detection], calibration: Calibration, as_of: int) -> LookReport:
        return LookReport(
            as_of=moment(as_of),
            threshold=round(calibration.threshold, 4),
            detections=tuple(
                DetectedWindow(
                    window=self._window(detection),
                    observed=_counts(detection),
                    expected=_expectations(detection),
                    score=round(detection.score, 4),
                    recurrence_interval_days=round(calibration.recurrence_days(detection.level), 1),
                )
                for detection in detections
            ),
        )

    # --- state ------------------------------------------------------------------------------------------------------

    def snapshot(self) -> dict[str, bytes]:
        """The parts of the state that changed since the last snapshot; empty bytes where a part is gone."""
        parts = self.detector.snapshot()
        schedule = self._schedule.state() if self._schedule else None
        state = _State(
            episodes=tuple(self.episodes.values()),
            tracker=self._tracker,
            last_look=self.last_look,
            schedule=(schedule[0], tuple(schedule[1])) if schedule else None,
        )
        parts["episodes"] = _STATE.dump_json(state)
        if schedule:
            parts["held"] = schedule[2]
        return parts

    def restore(self, parts: Mapping[str, bytes]) -> None:
        """Go on from all parts ever snapshot; then everything continues as if it had never stopped."""
        own = {"episodes", "held"}
        self.detector.restore({name: part for name, part in parts.items() if name not in own})
        if "episodes" not in parts:
            return
        state = _STATE.validate_json(parts["episodes"])
        self.episodes = {episode.track: episode for episode in state.episodes}
        self._tracker = state.tracker
        self.last_look = state.last_look
        self.calibration = self.detector.calibration
        if self._schedule and state.schedule:
            last_look_us, watermarks = state.schedule
            self._schedule.restore(last_look_us, list(watermarks), parts.get("held", b""))


def _counts(detection: Detection) -> dict[str, int]:
    return {name: int(count) for name, count in per_kind(detection.observed).items()}


def _effects(detection: Detection) -> dict[str, float]:
    pairs = zip(detection.observed, detection.expected, strict=True)
    ratios = tuple(count / mean if mean > 0 else 0.0 for count, mean in pairs)
    return {name: float(f"{ratio:.3g}") for name, ratio in per_kind(ratios).items()}


def _expectations(detection: Detection) -> dict[str, float]:
    # Four digits that mean something, also of an expectation that is far below one.
    return {name: float(f"{value:.4g}") for name, value in per_kind(detection.expected).items()}


#: Alerts that tell a window for the first time.
_NEW_EVIDENCE = (AlertReason.OPENED, AlertReason.ESCALATED)
_OUTCOME_NAMES = ("located", "gated", "duplicate")
#: Column of _OUTCOME_NAMES for each outcome of a row that is not gated.
_COLUMN = np.zeros(len(Outcome), dtype=np.int64)
_COLUMN[[Outcome.DUPLICATE, Outcome.STALE]] = 2
_COLUMN[Outcome.WITHDRAWN_UNSEEN] = 1


def _tally(kinds: NDArray[np.uint8], gates: NDArray[np.uint8], outcomes: NDArray[np.uint8]) -> Tally:
    column = _COLUMN[outcomes]
    column[(column == 0) & (gates != Gate.NONE)] = 1
    width = len(_OUTCOME_NAMES)
    counts = np.bincount(kinds * width + column, minlength=width * len(Kind)).tolist()
    return Counter(
        {(Kind(place // width), _OUTCOME_NAMES[place % width]): count for place, count in enumerate(counts) if count}
    )


def _within(rows: LocatedArray, window: Detection) -> NDArray[np.bool_]:
    near: NDArray[np.bool_] = (rows["ix"] - window.ix) ** 2 + (rows["iy"] - window.iy) ** 2 <= window.radius_cells**2
    return near


def _during(occurred: NDArray[np.int64], window: Detection) -> NDArray[np.bool_]:
    return (occurred > window.as_of - window.span_s) & (occurred <= window.as_of)


def _touches(removed: LocatedArray, told: Detection) -> bool:
    return bool((_within(removed, told) & _during(removed["occurred"], told)).any())
