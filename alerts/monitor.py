"""The heart: one pure object per region. Records and feedback in; detections, episode changes and alerts out.

The Faust agent, replays, benchmarks and tests all drive this object; there is no second path through the logic.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, TypeAdapter

from alerts.comparisons import unlocated_share
from alerts.episodes import (
    Decision,
    Drop,
    Episode,
    Learn,
    Lift,
    Tell,
    Terms,
    decide,
    evidence_changed,
    lying_over,
    moved_away,
    open_episode,
    part_split_off,
    split_of,
    told_at_one_place,
)
from alerts.evidence import recount, touches
from alerts.handling import Memory, Taken, active, forget, lift, remember, take_in, wait
from alerts.known import Ahead
from alerts.publication import Ledger, Publication
from alerts.schedule import Arrival, Input, ReplaySchedule
from alerts.telling import Moment, Teller
from processors.calibration import Calibration
from processors.detector import Detector, Look
from processors.feedhealth import Finding
from processors.incidents import incidents
from processors.layers import layer_messages, layers
from processors.public_holidays import PublicHolidays
from processors.records import Outcome
from processors.tracking import Step, Tracker, overlap
from schemas.alert import Alert, LookReport, UnitWeek
from schemas.base import Contract, moment, seconds
from schemas.detection import Detection, DetectionSettings
from schemas.episodes import Mute
from schemas.feedback import Feedback
from schemas.feeds import FeedNotice, feed_sentence
from schemas.layers import LayerSettings, MapLayers
from schemas.located import HEARTBEAT, LOCATED, Gate, Kind, LocatedArray, join, pick
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
    feedback: tuple[Taken, ...] = ()
    """What became of what people said up to this look."""


class _State(Contract):
    """The small part of a region's state, as it is kept between restarts."""

    episodes: tuple[Episode, ...]
    tracker: Tracker
    last_look: int
    schedule: tuple[int, tuple[tuple[int, ...], ...]] | None
    memory: Memory = Memory()
    unlocated: dict[str, float] = Field(default_factory=dict)


_STATE = TypeAdapter(_State)
_LEDGER = TypeAdapter(dict[str, dict[str, tuple[int, ...]]])


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
        console_url: str = "",
        publication: Publication | None = None,
    ) -> None:
        self.region = region
        self.detector = Detector(settings, region.zone, PublicHolidays(region.holidays))
        self.episodes: dict[int, Episode] = {}
        self.memory = Memory()
        self.last_look = 0
        self.calibration: Calibration | None = None
        self._settings = settings
        self._teller = Teller(region, self.detector, simulated=simulated, console_url=console_url)
        self._tracker = Tracker()
        self._schedule = schedule
        self._look: Look | None = None
        self._publication = publication or Publication()
        self._ledger = Ledger()
        self._removed: list[LocatedArray] = []
        self._ahead: tuple[Ahead, int] | None = None
        self._unlocated: dict[str, float] = {}
        self._taken: list[Taken] = []

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
        ahead = Ahead(self.detector, steps)
        for number, step in enumerate(self.detector.run(steps)):
            self._ahead = (ahead, number)
            self._note(step.removed)
            outcomes.append(step.outcome)
            looks.append(self._conclude(step.look))
        self._ahead = None
        if not looks:
            return Counter(), []
        return _tally(steps.rows["kind"], gates, np.concatenate(outcomes)), looks

    def _note(self, removed: LocatedArray) -> None:
        """Remember what may be evidence of an episode and counts no more."""
        if len(removed) and self.episodes:
            self._removed.append(removed)

    # --- people -----------------------------------------------------------------------------------------------------

    def feedback(self, feedback: Feedback) -> None:
        """Take what a person said; the same again changes nothing.

        The first look at or after the moment at which it was said acts on it, and tells what became of it: so neither
        the order in which feedback comes nor the moment at which it is read changes a result.
        """
        self.memory = wait(self.memory, feedback)

    def mutes(self) -> tuple[Mute, ...]:
        """Everything that is muted as of the last look, the one that ends first at the beginning."""
        return active(self.memory, self.last_look)

    def _hear(self, at: Moment) -> Iterator[Alert]:
        """Act on what people said up to this look."""
        by_id = {episode.episode_id: episode for episode in self.episodes.values()}
        while self.memory.waiting and seconds(self.memory.waiting[0].at) <= at.as_of:
            first, *rest = self.memory.waiting
            memory = replace(self.memory, waiting=tuple(rest))
            handled = take_in(memory, first, by_id.get(first.episode_id), at.as_of)
            self.memory = handled.memory
            self._taken.append(handled.taken)
            if handled.decision is not None:
                by_id[first.episode_id] = handled.decision.episode
                yield from self._settle(handled.decision, at)

    # --- looks ------------------------------------------------------------------------------------------------------

    def look(self, as_of: int) -> LookOutcome:
        """What is unusual as known at `as_of` (seconds since 1970 UTC), and what people must be told."""
        return self._conclude(self.detector.look(as_of))

    def _conclude(self, look: Look) -> LookOutcome:
        as_of = self.last_look = look.as_of
        self.calibration = look.calibration
        self._look = look
        self._taken = []
        if look.refitted:  # then the detector is not ahead
            self._unlocated = unlocated_share(self.detector.store.kept(), as_of)
        if look.calibration is None:
            return LookOutcome(as_of, None, ())
        self.memory = forget(self.memory, as_of)
        alerts = tuple(self._decide(look, look.calibration))
        report = self._report(look.detections, look.calibration, as_of) if look.detections else None
        return LookOutcome(as_of, report, alerts, tuple(look.detections), look.calibration, tuple(self._taken))

    def _decide(self, look: Look, calibration: Calibration) -> Iterator[Alert]:
        at = Moment(look.as_of, calibration, self._known, look.heard, self.notices, self._unlocated, self.memory.mutes)
        yield from self._hear(at)
        yield from self._correct(look, at)
        step = self._tracker.step(look.detections, look.as_of, calibration.threshold, calibration.floor)
        yield from self._follow(step, at)

    def _terms(self, calibration: Calibration) -> Terms:
        return Terms(calibration.threshold, calibration.floor, self.memory.mutes)

    def _follow(self, step: Step, at: Moment) -> Iterator[Alert]:
        """New episodes, then all others in the order in which they opened, then what new ones split off from."""
        others = list(self.episodes)
        split: list[tuple[int, Detection]] = []
        for track in step.opened:
            parent = split_of(track.window, (self.episodes[number] for number in others))
            if parent is not None:
                split.append((parent.track, track.window))
            name = self._episode_id(track.window)
            decision = open_episode(
                name, track.id, track.window, self._terms(at.calibration), parent.episode_id if parent else ""
            )
            yield from self._settle(decision, at)
        found = {track.id: track.window for track in step.continued}
        for number in others:
            episode = self.episodes[number]
            window = found.get(number)
            under = "" if window is not None else lying_over(episode, self.episodes.values())
            yield from self._settle(decide(episode, window, at.as_of, self._terms(at.calibration), under), at)
        for number, part in split:
            whole = self.episodes.get(number)
            if whole is not None and overlap(part, whole.told) and not overlap(part, whole.now):
                yield from self._settle(part_split_off(whole, at.as_of, self._terms(at.calibration)), at)
        for stale in told_at_one_place(self.episodes.values(), at.as_of):
            yield from self._settle(moved_away(stale, at.as_of, self._terms(at.calibration)), at)

    def _settle(self, decision: Decision, at: Moment) -> Iterator[Alert]:
        """Make a decision so: the episode, and what it asks for."""
        episode = decision.episode
        if episode.state.is_over:
            self.episodes.pop(episode.track, None)
            self.memory = remember(self.memory, episode, at.as_of)
            for number, other in self.episodes.items():
                if other.episode_id == episode.merged_into:
                    self.episodes[number] = replace(other, absorbed=(*other.absorbed, episode.episode_id))
        else:
            self.episodes[episode.track] = episode
        for instruction in decision.instructions:
            match instruction:
                case Tell():
                    now = replace(at, mutes=self.memory.mutes)  # what was said or lifted at this look counts
                    yield self._teller.alert(episode, instruction, now, self._published(episode.told))
                case Learn():
                    self.detector.remember(instruction.window)
                case Drop():
                    self._tracker.tracks = [track for track in self._tracker.tracks if track.id != instruction.track]
                case Lift():
                    self.memory = lift(self.memory, instruction.feedback_id)

    def _published(self, told: Detection) -> tuple[UnitWeek, ...]:
        """What those without the health permission may be told of the tiles and weeks of a window."""
        merge_s = self._settings.merge_minutes * 60
        return self._ledger.tell(told, self._known(), self._publication, self.detector.local, merge_s)

    def _correct(self, look: Look, at: Moment) -> Iterator[Alert]:
        """Count what was told again where records of it are gone."""
        if not self._removed:
            return
        removed = join(self._removed)
        self._removed.clear()
        for episode in list(self.episodes.values()):
            if touches(removed, episode.told):
                told = recount(self._known(), episode.told, self._settings.merge_minutes * 60, self.detector.local)
                standing = next((window for window in look.detections if overlap(window, episode.now)), None)
                terms = self._terms(at.calibration)
                yield from self._settle(evidence_changed(episode, told, standing, at.as_of, terms), at)

    def _known(self) -> LocatedArray:
        """The rows that count as known at the present look."""
        if self._ahead is None:
            return self.detector.store.counted()
        ahead, number = self._ahead
        return ahead.counted(number)

    def layers(self, settings: LayerSettings) -> Iterator[MapLayers]:
        """The map layers of whole days up to the last look, in messages small enough to send."""
        local = self.detector.local
        today = local.midnight(local.day(self.last_look))
        found = incidents(self.detector.store.counted(), self._settings.merge_minutes * 60)
        if found.occurred.size:
            yield from layer_messages(self.region.id, self._teller.grid, layers(found, today, settings))

    # --- what is said -----------------------------------------------------------------------------------------------

    def _episode_id(self, window: Detection) -> str:
        opened = moment(window.as_of).strftime("%Y%m%dT%H%M%SZ")
        place = f"{self.region.id}/{window.ix}/{window.iy}/{window.radius_cells}/{window.span_s}/{window.as_of}"
        return f"{self.region.id}-{opened}-{hashlib.blake2b(place.encode(), digest_size=4).hexdigest()}"

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
            detections=tuple(self._teller.detected(detection, calibration) for detection in detections),
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
            memory=self.memory,
            unlocated=self._unlocated,
        )
        parts["episodes"] = _STATE.dump_json(state)
        # A backlog is applied before it is looked at: what it took back must not be forgotten in between.
        parts["removed"] = join(self._removed).tobytes()
        if self._ledger.is_changed:
            parts["published"] = _LEDGER.dump_json(self._ledger.state())
        if schedule:
            parts["held"] = schedule[2]
        return parts

    def restore(self, parts: Mapping[str, bytes]) -> None:
        """Go on from all parts ever snapshot; then everything continues as if it had never stopped."""
        own = {"episodes", "removed", "held", "published"}
        self.detector.restore({name: part for name, part in parts.items() if name not in own})
        if "episodes" not in parts:
            return
        state = _STATE.validate_json(parts["episodes"])
        self.episodes = {episode.track: episode for episode in state.episodes}
        self._tracker = state.tracker
        self.last_look = state.last_look
        self.memory, self._unlocated = state.memory, state.unlocated
        self.calibration = self.detector.calibration
        if parts.get("published"):
            self._ledger.restore(_LEDGER.validate_json(parts["published"]))
        self._removed = [join([np.frombuffer(parts["removed"], LOCATED)])] if parts.get("removed") else []
        if self._schedule and state.schedule:
            last_look_us, watermarks = state.schedule
            self._schedule.restore(last_look_us, list(watermarks), parts.get("held", b""))


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
