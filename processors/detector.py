"""Everything that one region knows about its records, behind two verbs: apply records, look for hotspots."""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np

from processors.arrays import Bytes, Floats, Ints, Small
from processors.baseline import Baseline, fit_baseline, from_bytes, taught_period, to_bytes
from processors.calibration import Calibration, settings_fingerprint
from processors.dispersion import Variation
from processors.feedhealth import Finding
from processors.feedwatch import FeedWatch
from processors.incidents import incidents
from processors.live import LiveRecords
from processors.localtime import DAY_S, LocalHours
from processors.past_episodes import PastEpisode
from processors.public_holidays import NO_HOLIDAYS, PublicHolidays
from processors.recalibration import CalibrationOrder, Recalibration
from processors.record_parts import RecordParts
from processors.records import Applied, RecordStore, checked
from processors.runs import Steps, Terms
from processors.windows import Run, WindowCounts
from schemas.detection import Detection, DetectionSettings, WeekPart
from schemas.located import LOCATED, Gate, LocatedArray, Status, pack_cell, pick

#: Records are kept this much longer than the baseline looks back.
KEEP_DAYS: Final = 7
#: A batch that changes more than this is taken in by a rebuild at the next look: quicker, and the same.
BULK: Final = 2_000
#: The baseline is fitted again at once when its own period gained or lost more than this part of its records (at
#: least so many): history that is still being loaded, or taken back.
REVISED_PART: Final = 0.05
REVISED_LEAST: Final = 50
NO_ROWS: Final = np.empty(0, LOCATED)


class Look(NamedTuple):
    """What a look found: windows at or above the calibration's floor, best first, none touching another."""

    as_of: int
    detections: list[Detection]
    calibration: Calibration | None
    """None before there is enough history; then nothing is detected."""
    refitted: bool
    calibrated: bool
    heard: tuple[int, ...]
    """When each feed of the baseline was last heard, s."""


class Step(NamedTuple):
    """One of many looks, and what its rows did: an outcome each, and those that count no more."""

    outcome: Bytes
    removed: LocatedArray
    look: Look


class Detector:
    """One region. Records arrive in any order; looks move forward. Equal records and looks give equal findings."""

    def __init__(
        self,
        settings: DetectionSettings,
        zone: ZoneInfo,
        holidays: PublicHolidays = NO_HOLIDAYS,
        *,
        calibrates_beside: bool = False,
        threads: int = 1,
    ) -> None:
        """With `calibrates_beside` a look does not wait for a calibration: see `take_order`. One that it waits for
        may take so many threads.
        """
        self._settings = settings
        self._zone = zone
        self._local = LocalHours(zone, holidays)
        self._store = RecordStore()
        self._records = RecordParts(self._store)
        self._live = LiveRecords(settings.merge_minutes * 60)
        self._windows = WindowCounts(settings, self._local)
        self._baseline: Baseline | None = None
        self._calibration = Recalibration(beside=calibrates_beside, threads=threads)
        self._as_of: int | None = None
        self._built = False  # whether windows and live records follow the store
        self._first: int | None = None  # no counting record is older
        self._taught = 0  # counting records now in the period of the baseline
        self._feeds = FeedWatch(self._local)
        self._episodes: list[PastEpisode] = []
        self._unsaved: set[str] = set()

    @property
    def settings(self) -> DetectionSettings:
        """With which this detector was made."""
        return self._settings

    @property
    def local(self) -> LocalHours:
        """The clock of the region."""
        return self._local

    @property
    def store(self) -> RecordStore:
        """The records; to be read only."""
        return self._store

    @property
    def baseline(self) -> Baseline | None:
        """What is usual, as last fitted."""
        return self._baseline

    @property
    def calibration(self) -> Calibration | None:
        """What scores mean, as last simulated."""
        return self._calibration.in_force

    @property
    def as_of(self) -> int | None:
        """The moment of the last look."""
        return self._as_of

    def apply(self, rows: LocatedArray) -> Applied:
        """Take in revisions, in any order and at any time; nothing is looked at."""
        rows = self.gated(rows)
        applied = self._store.apply(rows)
        self._feeds.heard.hear(rows)
        changed = applied.removed.size + applied.added.size
        if changed == 0:
            return applied
        if applied.added.size:
            first = min(applied.added["occurred"].tolist())
            self._first = first if self._first is None else min(self._first, first)
        if changed > BULK:
            self._built = False
        if self._built:
            self._follow(applied.removed, applied.added)
        return applied

    def gated(self, rows: LocatedArray) -> LocatedArray:
        """The rows, those with a default time of their feed gated."""
        return self._feeds.gated(rows)

    def remember(self, told: Detection) -> None:
        """Take a window for unusual: what was above the usual in it is not to become the usual."""
        observed, expected = sum(told.observed), sum(told.expected)
        if expected < observed:
            begin = told.as_of - told.span_s
            place = (told.ix, told.iy, told.radius_cells)
            self._episodes.append(PastEpisode(*place, begin, told.as_of, expected / observed, int(told.part)))

    def notices(self, look: Look) -> list[tuple[Finding, int | None]]:
        """What is wrong with feeds as of a look, and when those that are silent were last heard, s."""
        return self._feeds.notices(None if self._baseline is None else self._baseline.feeds, look.heard, look.as_of)

    def look(self, as_of: int) -> Look:
        """Find what stands out as of a moment; fits and calibrates first where that is due."""
        if self._as_of is not None and as_of < self._as_of:
            raise ValueError(f"a look as of {as_of} after one as of {self._as_of}: time does not go back")
        self._as_of = as_of
        self._build(as_of)
        refitted = self._refit_if_due(as_of)
        judged_anew = self._calibrate_if_due()
        self._build(as_of)  # a refit may have gated records, or no longer
        if refitted or judged_anew:
            self._expect()
        found = self._windows.look(as_of)
        calibrated = judged_anew and self.calibration is not None
        return Look(as_of, found, self.calibration, refitted, calibrated, tuple(self._feeds.heard.of_feeds.tolist()))

    def run(self, steps: Steps) -> Iterator[Step]:
        """The same as applying the rows of each step and then looking, one after the other; quicker."""
        n = 0
        while n < steps.moments.size:
            applied = self.apply(steps.part(n, n + 1).rows)
            yield Step(applied.outcome, applied.removed, self.look(int(steps.moments[n])))
            n += 1
            ahead = steps.part(n, n + self._calm(steps, n))
            if not ahead.moments.size:
                continue
            found = self._run(ahead)
            begin = 0
            for as_of, end, detections, heard in found.looks:
                look = Look(as_of, detections, self.calibration, False, False, heard)
                yield Step(found.outcome[begin:end], NO_ROWS, look)
                begin = end
            n += len(found.looks)
            if found.stopped:
                yield Step(found.outcome[begin:], found.removed, self.look(int(steps.moments[n])))
                n += 1

    def _calm(self, steps: Steps, n: int) -> int:
        """How many looks from the n-th on surely need no more than counting and looking."""
        if self._baseline is None or not self._built or self._calibration.is_doubted:
            return 0
        moments = steps.moments[n:]
        large = np.flatnonzero(np.diff(steps.ends[n - 1 :]) > BULK)
        most = min(self._windows.ahead(moments), int(large[0]) if large.size else moments.size)
        return bisect_left(moments[:most], True, key=lambda as_of: self._due(int(as_of)) is not None)

    def _run(self, steps: Steps) -> Run:
        """Do these looks, up to one that `look` must do."""
        assert self._baseline is not None and self._as_of is not None
        rows = self.gated(checked(steps.rows))
        counting = pick(rows, (rows["status"] != Status.WITHDRAWN) & (rows["gate"] == Gate.NONE))
        self._windows.ensure(counting["ix"], counting["iy"])
        terms = Terms(
            self._as_of,
            self._live.slack_s,
            self._settings.merge_minutes * 60,
            *taught_period(self._baseline.fitted_at, self._settings),
        )
        held, live = self._store.reserve(rows.size), self._live.reserve(rows.size)
        run = self._windows.run(held, live, steps._replace(rows=rows), terms)
        self._store.note(run.weeks, rows[: run.outcome.size], run.outcome)
        self._teach(run.removed, run.added)
        if run.first is not None:
            self._first = run.first if self._first is None else min(self._first, run.first)
        self._feeds.heard.hear(rows[: run.outcome.size])
        if run.looks:
            self._as_of = run.looks[-1].as_of
        return run

    def take_order(self) -> CalibrationOrder | None:
        """The calibration that a look asked for, once, to be made beside the looks and handed to `calibrated`.

        Until it is there looks go on by the one before; where there is none, or levels have changed so much that it
        means nothing any more, they find nothing.
        """
        return self._calibration.take_order()

    def calibrated(self, calibration: Calibration) -> None:
        """Judge by this from the next look on."""
        self._calibration.hand_in(calibration)
        self._unsaved.add("calibration")
        self._expect()

    def evaluate(
        self, ix: int, iy: int, radius_cells: int, span_s: int, as_of: int, part: WeekPart = WeekPart.ANY
    ) -> Detection:
        """Observed and expected in any window, as of the last look; also in one that went quiet."""
        self._settle()
        return self._windows.evaluate(ix, iy, radius_cells, span_s, as_of, part)

    def shares(self, ix: Ints, iy: Ints) -> Floats:
        """The share of each of these cells under the baseline, which there must be: [cell, kind and block]."""
        return self._windows.shares(ix, iy)

    def expected_total(self, as_of: int, span_s: int) -> tuple[float, ...]:
        """Expected incidents of the whole region in (as_of - span, as_of], by kind; spans up to the longest."""
        return self._windows.expected_total(as_of, span_s)

    def variation(self) -> Variation:
        """How much the history that the baseline was taught varies beyond chance. There must be a baseline."""
        return self._calibration_order().variation()

    def snapshot(self) -> dict[str, bytes]:
        """The parts that changed since the last snapshot; empty bytes where a part is gone."""
        return self._records.weeks() | self._but_records()

    def changes(self) -> dict[str, bytes] | None:
        """The same, but with the records that changed in place of whole weeks; None where that does not tell all."""
        changes = self._records.changes()
        return None if changes is None else changes | self._but_records()

    def _but_records(self) -> dict[str, bytes]:
        """The parts that hold no records."""
        parts = {}
        if "baseline" in self._unsaved:
            parts["baseline"] = b"" if self._baseline is None else to_bytes(self._baseline)
        if "calibration" in self._unsaved:
            parts["calibration"] = b"" if (made := self._calibration.made) is None else made.to_json().encode()
        self._unsaved.clear()
        clock: dict[str, Any] = {
            "as_of": self._as_of,
            "settings": self._fingerprint(),
            "feeds": self._feeds.state(),
            "episodes": [list(episode) for episode in self._episodes],
        }
        parts["clock"] = json.dumps(clock, separators=(",", ":"), sort_keys=True).encode()
        return parts

    def restore(self, parts: Mapping[str, bytes]) -> None:
        """Take up where the snapshots left off: `parts` is the newest of each. For a detector that is still empty.

        What was fitted with other settings is not taken over; the next look fits anew.
        """
        if len(self._store) or self._as_of is not None:
            raise RuntimeError("only a new detector can be restored")
        self._records.restore(parts)
        clock: dict[str, Any] = json.loads(parts["clock"]) if parts.get("clock") else {}
        if clock.get("settings") == self._fingerprint():
            self._baseline = from_bytes(parts["baseline"]) if parts.get("baseline") else None
            packed = parts.get("calibration")
            self._calibration.made = Calibration.from_json(packed.decode()) if packed else None
        counted = self._store.counted()
        self._first = int(counted["occurred"].min()) if counted.size else None
        if clock:
            self._feeds.restore(clock["feeds"])
        self._episodes = [PastEpisode(*episode) for episode in clock.get("episodes", ())]
        self._expect()
        self._as_of = clock.get("as_of")
        if self._as_of is not None:
            self._settle()

    def _fingerprint(self) -> str:
        return f"{settings_fingerprint(self._settings)}/{self._local.holidays.code}"

    def _settle(self) -> None:
        """Have the windows be as of the last look, with all that was applied since."""
        if not self._built and self._as_of is not None:
            self._build(self._as_of)
            self._windows.look(self._as_of)

    def _expect(self) -> None:
        feeds = None if self._baseline is None else self._baseline.feeds
        self._windows.expect(self._baseline, self._floor(), self._feeds.heard.follow(feeds))

    def _floor(self) -> float:
        return float("inf") if self.calibration is None else self.calibration.floor

    def _build(self, as_of: int) -> None:
        """Have windows and live records follow the store, all anew."""
        if self._built:
            return
        counted = self._store.counted()
        horizon = as_of - self._settings.spans_s[-1]
        cells, holders = np.unique(
            pack_cell(counted["ix"].astype(np.int64), counted["iy"].astype(np.int64)), return_counts=True
        )
        recent = pick(counted, counted["occurred"] > horizon - self._live.slack_s)
        found = incidents(recent, self._settings.merge_minutes * 60)
        after = found.occurred > horizon
        found = type(found)(found.kind[after], found.ix[after], found.iy[after], found.occurred[after])
        ix, iy = _unpack(cells)
        self._windows.rebuild(ix, iy, holders, found)
        self._live.replace(recent, self._windows.ensure(recent["ix"], recent["iy"]), horizon)
        self._count_taught(counted)
        self._built = True

    def _follow(self, removed: LocatedArray, added: LocatedArray) -> None:
        """Bring windows and live records up to a small change of records."""
        self._teach(removed, added)
        assert self._as_of is not None  # built means looked at
        ix, iy = (np.concatenate([removed[axis], added[axis]]) for axis in ("ix", "iy"))
        cells = self._windows.ensure(ix, iy)
        horizon = self._as_of - self._settings.spans_s[-1]
        self._windows.change(self._live.change(removed, added, cells, horizon))

    def _teach(self, removed: LocatedArray, added: LocatedArray) -> None:
        """Keep count of the records in the period of the baseline."""
        if self._baseline is not None:
            begin, end = taught_period(self._baseline.fitted_at, self._settings)
            for rows, step in ((removed, -1), (added, 1)):
                self._taught += step * sum(begin < occurred <= end for occurred in rows["occurred"].tolist())

    def _count_taught(self, counted: LocatedArray) -> None:
        self._taught = 0
        if self._baseline is not None:
            begin, end = taught_period(self._baseline.fitted_at, self._settings)
            self._taught = int(((counted["occurred"] > begin) & (counted["occurred"] <= end)).sum())

    def _due(self, as_of: int) -> int | None:
        """The local midnight to fit as of, or None while the fit that there is will do."""
        day = self._local.day(as_of)
        if self._baseline is not None:
            changed = abs(self._taught - self._baseline.records)
            age = as_of - self._baseline.fitted_at
            much = changed > max(REVISED_LEAST, REVISED_PART * self._baseline.records)
            if age < (self._settings.refit_days - 1) * DAY_S and not much:
                return None
            at = self._midnight(day)
            return at if much or at > self._baseline.fitted_at else None
        if self._first is None:
            return None
        at = self._midnight(day)
        _, end = taught_period(at, self._settings)
        return at if end - self._first >= self._settings.min_history_days * DAY_S else None

    def _midnight(self, day: int) -> int:
        """The start of the day, at or before this one, on which fits are made: Mondays, for weekly fits."""
        return self._local.midnight(day - (day + 3) % self._settings.refit_days)

    def _refit_if_due(self, as_of: int) -> bool:
        at = self._due(as_of)
        if at is None:
            return False
        if self._feeds.check(self._store, at):
            self._built = False
        counted = self._store.counted()
        self._first = int(counted["occurred"].min()) if counted.size else None
        found = incidents(counted, self._settings.merge_minutes * 60)
        before = self._baseline
        oldest, _ = taught_period(at, self._settings)
        self._episodes = [episode for episode in self._episodes if episode.end > oldest]
        self._baseline = fit_baseline(found, counted, at, self._settings, self._local, self._episodes)
        self._count_taught(counted)
        if self._baseline is None and before is None:
            return False
        self._unsaved.add("baseline")
        self._calibration.doubt()
        dropped = self._store.prune(at - (self._settings.baseline_days + KEEP_DAYS) * DAY_S)
        if self._built:
            self._follow(dropped, dropped[:0])
        return True

    def _calibrate_if_due(self) -> bool:
        """Whether another calibration is in force, or none any more."""
        before = self._calibration.made
        changed = self._calibration.check(self._baseline, self._settings, self._calibration_order)
        if self._calibration.made is not before:
            self._unsaved.add("calibration")
        return changed

    def _calibration_order(self) -> CalibrationOrder:
        """By the baseline, which there must be, and the records as they are now."""
        assert self._baseline is not None
        local = LocalHours(self._zone, self._local.holidays)  # not ours: it grows as it is asked, in whatever thread
        return CalibrationOrder(self._baseline, self._store.counted(), self._settings, local)


def _unpack(cells: Ints) -> tuple[Small, Small]:
    return (cells >> 32).astype(np.int32), (cells & 0xFFFFFFFF).astype(np.uint32).view(np.int32)
