"""Makes the alert of a decision: all that a sink, a map or a briefing needs, from the episode and what is known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from alerts.comparisons import at_place, by_hour, compared, late_share, usual_in_a_week
from alerts.episodes import Episode, Tell
from alerts.mutes import hold
from alerts.outline import outline_of_disc
from alerts.phrases import evidence_of, per_kind
from alerts.places import Namer
from alerts.reviews import expires_at, review_at
from alerts.wording import worded
from processors.calibration import Calibration
from processors.detector import Detector
from processors.grid import Grid
from processors.localtime import DAY_S
from processors.permutation import window_p_value
from schemas.alert import HOURS_NAMES, Alert, AlertReason, DetectedWindow, Link, Polygons, UnitWeek, Window
from schemas.base import moment
from schemas.detection import Detection
from schemas.episodes import Mute
from schemas.feeds import FeedNotice
from schemas.located import LocatedArray
from schemas.region import RegionFile

#: Revisions that tell what a window was, and no new one.
_OLD_WINDOW = (AlertReason.CLOSED, AlertReason.MERGED, AlertReason.EVIDENCE_WITHDRAWN)


@dataclass(frozen=True, slots=True)
class Moment:
    """What is known at the look that an alert is about; an alert is made of this and its episode, and nothing else."""

    as_of: int
    calibration: Calibration
    known: Callable[[], LocatedArray]
    """Rows that count, as known at the look; asked for only where something is told."""
    heard: tuple[int, ...]
    """When each feed of the baseline was last heard, s."""
    notices: Callable[[], tuple[FeedNotice, ...]]
    unlocated_share: dict[str, float]
    mutes: tuple[Mute, ...] = ()
    """As they hold when the alert is made: feedback of the same look counts."""


class Teller:
    """Tells of the windows and episodes of one region."""

    def __init__(self, region: RegionFile, detector: Detector, *, simulated: bool, console_url: str) -> None:
        self._region, self._detector = region, detector
        self._grid = Grid(region)
        self._namer = Namer(region, self._grid)
        self._simulated, self._console_url = simulated, console_url.rstrip("/")
        self._places: dict[tuple[int, int], tuple[float, ...]] = {}
        self._outlines: dict[tuple[int, int, int], Polygons] = {}

    @property
    def grid(self) -> Grid:
        """Of the region."""
        return self._grid

    def window(self, detection: Detection) -> Window:
        """A window in metres, degrees and times."""
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

    def detected(self, detection: Detection, calibration: Calibration) -> DetectedWindow:
        """A window of the report of a look."""
        return DetectedWindow(
            window=self.window(detection),
            observed=_counts(detection),
            expected=_expectations(detection),
            score=round(detection.score, 4),
            recurrence_interval_days=round(calibration.recurrence_days(detection.level), 1),
        )

    def alert(self, episode: Episode, tell: Tell, at: Moment, published: Sequence[UnitWeek] = ()) -> Alert:
        """One revision."""
        told, window, region = episode.told, self.window(episode.told), self._region
        local, baseline = self._detector.local, self._detector.baseline
        merge_s = self._detector.settings.merge_minutes * 60
        known = at.known()
        here = at_place(known, told, merge_s, local)
        named = self._namer.name(window.easting, window.northing)
        held = hold(at.mutes, episode.episode_id, told, at.as_of)
        review = review_at(episode.state, at.as_of, local)
        alert = Alert(
            episode_id=episode.episode_id,
            revision=episode.revision,
            state=episode.state,
            reason=tell.reason,
            region=region.id,
            region_name=region.name,
            opened_at=moment(episode.opened_at),
            as_of=moment(at.as_of),
            window=window,
            observed=_counts(told),
            expected=_expectations(told),
            score=round(told.score, 4),
            recurrence_interval_days=round(at.calibration.recurrence_days(told.level), 1),
            permutation_p_value=None if tell.reason in _OLD_WINDOW else self._second_opinion(told),
            evidence=evidence_of(told),
            effect=_effects(told),
            headline="",
            not_known=at.notices(),
            simulated=self._simulated,
            marking=region.marking,
            handling=region.handling,
            place=named.place,
            grid_reference=named.grid_reference,
            polygons=self._outline(told),
            by_hour=by_hour(here, told, local),
            kind_scores={name: round(score, 4) for name, score in per_kind(told.kind_scores).items()},
            alone_days={
                name: round(at.calibration.recurrence_days(score - told.penalty), 1)
                for name, score in per_kind(told.kind_scores).items()
            },
            compared=compared(
                here,
                told,
                self._known_from(at.as_of, known),
                {} if baseline is None else usual_in_a_week(baseline, self._detector.shares, told, local),
            ),
            late_share={} if baseline is None else late_share(baseline, at.heard, told, at.as_of, local),
            unlocated_share=at.unlocated_share,
            state_since=moment(episode.state_since or episode.opened_at),
            history=episode.history,
            split_from=episode.split_from,
            merged_into=episode.merged_into,
            absorbed=episode.absorbed,
            people=episode.people,
            muted=tell.muted,
            muted_until=held.by.until if held.by else None,
            review_at=None if review is None else moment(review),
            expires_at=moment(expires_at(at.as_of, review)),
            links=self._links(episode),
            attribution=region.attribution,
            published=tuple(published),
        )
        return worded(alert, region.zone)

    def _known_from(self, as_of: int, known: LocatedArray) -> int:
        """Since when the records are all there, s."""
        kept_from = as_of - self._detector.settings.baseline_days * DAY_S
        first = int(known["occurred"].min()) if known.size else as_of
        return max(first, kept_from)

    def _outline(self, told: Detection) -> Polygons:
        key = (told.ix, told.iy, told.radius_cells)
        if key not in self._outlines:
            self._outlines[key] = outline_of_disc(*key, self._grid)
        return self._outlines[key]

    def _links(self, episode: Episode) -> tuple[Link, ...]:
        if not self._console_url:
            return ()
        return (Link("This episode", f"{self._console_url}/episodes/{episode.episode_id}"),)

    def _second_opinion(self, told: Detection) -> float | None:
        baseline = self._detector.baseline
        if baseline is None:
            return None
        usual = baseline.usual_in(told.ix, told.iy, told.radius_cells)
        p = window_p_value(told.observed, told.around, usual, baseline.incidents.tolist())
        return float(f"{p:.3g}")


def _counts(detection: Detection) -> dict[str, int]:
    return {name: int(count) for name, count in per_kind(detection.observed).items()}


def _effects(detection: Detection) -> dict[str, float]:
    pairs = zip(detection.observed, detection.expected, strict=True)
    ratios = tuple(count / mean if mean > 0 else 0.0 for count, mean in pairs)
    return {name: float(f"{ratio:.3g}") for name, ratio in per_kind(ratios).items()}


def _expectations(detection: Detection) -> dict[str, float]:
    # Four digits that mean something, also of an expectation that is far below one.
    return {name: float(f"{value:.4g}") for name, value in per_kind(detection.expected).items()}
