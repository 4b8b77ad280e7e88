"""Follows the episodes of one region from look to look: makes so what alerts.episodes decides, and tells of it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
from pydantic import TypeAdapter

from alerts.closed import Closed
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
    evidence_gone,
    lying_over,
    moved_away,
    open_episode,
    part_split_off,
    split_of,
    told_at_one_place,
)
from alerts.evidence import recount, touches
from alerts.handling import Memory, Taken, forget, lift, remember, take_in
from alerts.publication import Ledger, Publication
from alerts.telling import Moment, Teller
from processors.detector import KEEP_DAYS, Detector
from processors.tracking import Step, Tracker, overlap
from schemas.alert import Alert, UnitWeek
from schemas.base import moment, seconds
from schemas.detection import DAY_S, Detection
from schemas.episodes import EpisodeState
from schemas.located import LOCATED, LocatedArray, join

_LEDGER = TypeAdapter(dict[str, dict[str, tuple[int, ...]]])


class Following:
    """The episodes of a region, what people said about them, and what was told of them."""

    def __init__(self, region_id: str, detector: Detector, teller: Teller, publication: Publication) -> None:
        self._region_id, self._detector = region_id, detector
        self._teller, self._publication = teller, publication
        self.open: dict[int, Episode] = {}
        """By number of the track."""
        self.closed = Closed()
        self.tracker = Tracker()
        self.memory = Memory()
        self._ledger = Ledger()
        self._removed: list[LocatedArray] = []

    def note(self, removed: LocatedArray) -> None:
        """Remember what may be evidence of an episode and counts no more, until the next look."""
        if len(removed) and (self.open or len(self.closed)):
            self._removed.append(removed)

    def look(self, detections: Sequence[Detection], at: Moment) -> tuple[tuple[Alert, ...], tuple[Taken, ...]]:
        """What people must be told at a look that found these windows, and what became of what they said before it."""
        self.memory = forget(self.memory, at.as_of)
        # What the detector has pruned by now can be no older than this.
        self.closed.forget(at.as_of - (self._detector.settings.baseline_days + KEEP_DAYS) * DAY_S)
        taken: list[Taken] = []
        alerts = [*self._hear(at, taken), *self._correct(detections, at)]
        step = self.tracker.step(list(detections), at.as_of, at.calibration.threshold, at.calibration.floor)
        alerts += self._follow(step, at)
        return tuple(alerts), tuple(taken)

    # --- what happens at a look -------------------------------------------------------------------------------------

    def _hear(self, at: Moment, taken: list[Taken]) -> Iterator[Alert]:
        """Act on what people said up to this look."""
        while self.memory.waiting and seconds(self.memory.waiting[0].at) <= at.as_of:
            first, *rest = self.memory.waiting
            memory = replace(self.memory, waiting=tuple(rest))
            handled = take_in(memory, first, self._named(first.episode_id), at.as_of)
            self.memory = handled.memory
            taken.append(handled.taken)
            if handled.decision is not None:
                yield from self._settle(handled.decision, at)

    def _named(self, episode_id: str) -> Episode | None:
        """An open episode, or a closed one that is kept."""
        found = (episode for episode in self.open.values() if episode.episode_id == episode_id)
        return next(found, None) or self.closed.get(episode_id)

    def _correct(self, detections: Sequence[Detection], at: Moment) -> Iterator[Alert]:
        """Count what was told again where records of it are gone."""
        if not self._removed:
            return
        removed = join(self._removed)
        self._removed.clear()
        touched = [episode for episode in self.open.values() if touches(removed, episode.told)]
        over = self.closed.touched(removed)
        if not touched and not over:
            return
        known = at.known()
        for episode in touched:
            told = self._recount(known, episode.told)
            standing = next((window for window in detections if overlap(window, episode.now)), None)
            yield from self._settle(evidence_changed(episode, told, standing, at.as_of, self._terms(at)), at)
        for kept in over:
            grounds = [self._recount(known, ground) for ground in kept.episode.grounds]
            yield from self._settle(evidence_gone(kept.episode, grounds, at.as_of, kept.floor), at)

    def _recount(self, known: LocatedArray, told: Detection) -> Detection:
        return recount(known, told, self._merge_s, self._detector.local)

    def _follow(self, step: Step, at: Moment) -> Iterator[Alert]:
        """New episodes, then all others in the order in which they opened, then what new ones split off from."""
        others = list(self.open)
        split: list[tuple[int, Detection]] = []
        for track in step.opened:
            parent = split_of(track.window, (self.open[number] for number in others))
            if parent is not None:
                split.append((parent.track, track.window))
            name = self._episode_id(track.window)
            split_from = parent.episode_id if parent else ""
            yield from self._settle(open_episode(name, track.id, track.window, self._terms(at), split_from), at)
        found = {track.id: track.window for track in step.continued}
        for number in others:
            episode = self.open[number]
            window = found.get(number)
            under = "" if window is not None else lying_over(episode, self.open.values())
            yield from self._settle(decide(episode, window, at.as_of, self._terms(at), under), at)
        for number, part in split:
            whole = self.open.get(number)
            if whole is not None and overlap(part, whole.told) and not overlap(part, whole.now):
                yield from self._settle(part_split_off(whole, at.as_of, self._terms(at)), at)
        for stale in told_at_one_place(self.open.values(), at.as_of):
            yield from self._settle(moved_away(stale, at.as_of, self._terms(at)), at)

    # --- what a decision asks for -----------------------------------------------------------------------------------

    def _settle(self, decision: Decision, at: Moment) -> Iterator[Alert]:
        """Make a decision so: the episode, and what it asks for."""
        episode = decision.episode
        self._keep(episode, at)
        for instruction in decision.instructions:
            match instruction:
                case Tell():
                    now = replace(at, mutes=self.memory.mutes)  # what was said or lifted at this look counts
                    yield self._teller.alert(episode, instruction, now, self._published(episode.told, at))
                case Learn():
                    self._detector.remember(instruction.window)
                case Drop():
                    self.tracker.tracks = [track for track in self.tracker.tracks if track.id != instruction.track]
                case Lift():
                    self.memory = lift(self.memory, instruction.feedback_id)

    def _keep(self, episode: Episode, at: Moment) -> None:
        """An episode as it now is."""
        if not episode.state.is_over:
            self.open[episode.track] = episode
        elif self.closed.get(episode.episode_id) is None:
            self._end(episode, at)
        elif episode.state is EpisodeState.CLOSED:
            self.closed.replace(episode)
        else:
            self.closed.drop(episode.episode_id)
            self.memory = remember(self.memory, episode, at.as_of)

    def _end(self, episode: Episode, at: Moment) -> None:
        """An open episode is over."""
        del self.open[episode.track]
        self.memory = remember(self.memory, episode, at.as_of)
        if episode.state is EpisodeState.CLOSED:
            self.closed.add(episode, at.calibration.floor)
        for number, other in self.open.items():
            if other.episode_id == episode.merged_into:
                self.open[number] = replace(other, absorbed=(*other.absorbed, episode.episode_id))

    def _published(self, told: Detection, at: Moment) -> tuple[UnitWeek, ...]:
        """What those without the health permission may be told of the tiles and weeks of a window."""
        return self._ledger.tell(told, at.known(), self._publication, self._detector.local, self._merge_s)

    def _terms(self, at: Moment) -> Terms:
        return Terms(at.calibration.threshold, at.calibration.floor, self.memory.mutes)

    @property
    def _merge_s(self) -> int:
        return self._detector.settings.merge_minutes * 60

    def _episode_id(self, window: Detection) -> str:
        opened = moment(window.as_of).strftime("%Y%m%dT%H%M%SZ")
        place = f"{self._region_id}/{window.ix}/{window.iy}/{window.radius_cells}/{window.span_s}/{window.as_of}"
        return f"{self._region_id}-{opened}-{hashlib.blake2b(place.encode(), digest_size=4).hexdigest()}"

    # --- state ------------------------------------------------------------------------------------------------------

    def snapshot(self) -> dict[str, bytes]:
        """The parts that changed since the last snapshot, but for open episodes, tracks and memory."""
        # A backlog is applied before it is looked at: what it took back must not be forgotten in between.
        parts = {"removed": join(self._removed).tobytes()}
        if self._ledger.is_changed:
            parts["published"] = _LEDGER.dump_json(self._ledger.state())
        return parts | self.closed.snapshot()

    def restore(
        self, episodes: Iterable[Episode], tracker: Tracker, memory: Memory, parts: Mapping[str, bytes]
    ) -> None:
        """Go on from a state."""
        self.open = {episode.track: episode for episode in episodes}
        self.tracker, self.memory = tracker, memory
        self.closed.restore(parts)
        if parts.get("published"):
            self._ledger.restore(_LEDGER.validate_json(parts["published"]))
        self._removed = [join([np.frombuffer(parts["removed"], LOCATED)])] if parts.get("removed") else []
