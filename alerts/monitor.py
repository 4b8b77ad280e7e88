"""The heart: one pure object per region. Records and feedback in; detections, episode changes and alerts out.

The Faust agent, replays, benchmarks and tests all drive this object; there is no second path through the logic.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, TypeAdapter

from alerts.closed import Closed
from alerts.comparisons import unlocated_share
from alerts.episodes import Episode
from alerts.following import Following
from alerts.handling import Memory, Taken, active, wait
from alerts.known import Ahead, Known
from alerts.publication import Publication
from alerts.schedule import Arrival, Input, ReplaySchedule
from alerts.telling import Moment, Teller
from processors.calibration import Calibration
from processors.detector import Detector, Look
from processors.feedhealth import Finding
from processors.incidents import incidents
from processors.layers import layer_messages, layers
from processors.public_holidays import PublicHolidays
from processors.records import Outcome
from processors.tracking import Tracker
from schemas.alert import Alert, LookReport
from schemas.base import Contract, moment
from schemas.detection import Detection, DetectionSettings
from schemas.episodes import Mute
from schemas.feedback import Feedback
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
    alerts: tuple[Alert, ...] = ()
    found: tuple[Detection, ...] = ()
    """The windows above the closing level."""
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


class RegionMonitor:
    """Everything about one region that must be consistent with each other.

    `schedule` is given for the replay clock; without it every call of `advance` ends in one look at the newest moment.
    With `calibrates_beside` no look waits for a calibration: the detector tells which is to be made. One that a look
    waits for may take so many `threads`.
    """

    def __init__(
        self,
        region: RegionFile,
        settings: DetectionSettings,
        *,
        schedule: ReplaySchedule | None = None,
        calibrates_beside: bool = False,
        threads: int = 1,
        simulated: bool = False,
        console_url: str = "",
        publication: Publication | None = None,
    ) -> None:
        self.region = region
        holidays = PublicHolidays(region.holidays)
        self.detector = Detector(settings, region.zone, holidays, calibrates_beside=calibrates_beside, threads=threads)
        self.last_look = 0
        self.calibration: Calibration | None = None
        self._settings = settings
        self._teller = Teller(region, self.detector, simulated=simulated, console_url=console_url)
        self._following = Following(region.id, self.detector, self._teller, publication or Publication())
        self._schedule = schedule
        self._look: Look | None = None
        self._ahead: tuple[Ahead, int] | None = None
        self._unlocated: dict[str, float] = {}

    @property
    def episodes(self) -> Mapping[int, Episode]:
        """Open ones, by number of the track."""
        return self._following.open

    @property
    def closed(self) -> Closed:
        """Episodes that are over and can still be retracted."""
        return self._following.closed

    @property
    def memory(self) -> Memory:
        """What is remembered of what people said."""
        return self._following.memory

    # --- records in -------------------------------------------------------------------------------------------------

    def apply(self, rows: LocatedArray) -> Tally:
        """Apply revisions in any order, any number of times. Returns what became of each."""
        rows = self.detector.gated(rows)
        applied = self.detector.apply(rows)
        self._following.note(applied.removed)
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
            self._following.note(step.removed)
            outcomes.append(step.outcome)
            looks.append(self._conclude(step.look))
        self._ahead = None
        if not looks:
            return Counter(), []
        return _tally(steps.rows["kind"], gates, np.concatenate(outcomes)), looks

    # --- people -----------------------------------------------------------------------------------------------------

    def feedback(self, feedback: Feedback) -> None:
        """Take what a person said; the same again changes nothing.

        The first look at or after the moment at which it was said acts on it, and tells what became of it: so neither
        the order in which feedback comes nor the moment at which it is read changes a result.
        """
        self._following.memory = wait(self.memory, feedback)

    def mutes(self) -> tuple[Mute, ...]:
        """Everything that is muted as of the last look, the one that ends first at the beginning."""
        return active(self.memory, self.last_look)

    # --- looks ------------------------------------------------------------------------------------------------------

    def look(self, as_of: int) -> LookOutcome:
        """What is unusual as known at `as_of` (seconds since 1970 UTC), and what people must be told."""
        return self._conclude(self.detector.look(as_of))

    def _conclude(self, look: Look) -> LookOutcome:
        as_of = self.last_look = look.as_of
        self.calibration = look.calibration
        self._look = look
        if look.refitted:  # then the detector is not ahead
            self._unlocated = unlocated_share(self.detector.store.kept(), as_of)
        if look.calibration is None:
            return LookOutcome(as_of)
        at = Moment(as_of, look.calibration, Known(self._known), look.heard, self.notices, self._unlocated)
        alerts, taken = self._following.look(look.detections, at)
        return LookOutcome(as_of, alerts, tuple(look.detections), look.calibration, taken)

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

    def reports(self, looks: Iterable[LookOutcome]) -> Iterator[LookReport]:
        """Of each look that found something, what. May be asked in any thread, whatever the region is at."""
        for look in looks:
            if look.found and look.calibration is not None:
                yield LookReport(
                    as_of=moment(look.as_of),
                    threshold=round(look.calibration.threshold, 4),
                    detections=tuple(self._teller.detected(found, look.calibration) for found in look.found),
                )

    # --- state ------------------------------------------------------------------------------------------------------

    def snapshot(self) -> dict[str, bytes]:
        """The parts of the state that changed since the last snapshot; empty bytes where a part is gone."""
        return self.detector.snapshot() | self._but_detector()

    def changes(self) -> dict[str, bytes] | None:
        """The same since the last snapshot or the last of these, in less than a snapshot would take.

        They are laid over the parts of the snapshots, and the next of those stands for them. None where only a
        snapshot tells all.
        """
        parts = self.detector.changes()
        return None if parts is None else parts | self._but_detector()

    def _but_detector(self) -> dict[str, bytes]:
        """The parts that are not the detector's."""
        schedule = self._schedule.state() if self._schedule else None
        state = _State(
            episodes=tuple(self.episodes.values()),
            tracker=self._following.tracker,
            last_look=self.last_look,
            schedule=(schedule[0], tuple(schedule[1])) if schedule else None,
            memory=self.memory,
            unlocated=self._unlocated,
        )
        parts = {"episodes": _STATE.dump_json(state)} | self._following.snapshot()
        if schedule:
            parts["held"] = schedule[2]
        return parts

    def restore(self, parts: Mapping[str, bytes]) -> None:
        """Go on from all parts ever snapshot; then everything continues as if it had never stopped."""
        self.detector.restore(parts)
        if "episodes" not in parts:
            return
        state = _STATE.validate_json(parts["episodes"])
        self._following.restore(state.episodes, state.tracker, state.memory, parts)
        self.last_look, self._unlocated = state.last_look, state.unlocated
        self.calibration = self.detector.calibration
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
