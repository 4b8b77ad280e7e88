"""What must always hold of a region's alerts and open episodes: checked after every test that drives a monitor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations

from alerts.episodes import Episode
from alerts.handling import REMEMBERED_S
from alerts.monitor import LookOutcome, RegionMonitor
from alerts.mutes import is_active
from alerts.transitions import STEPS, WITHIN_A_STATE
from processors.detector import KEEP_DAYS
from processors.tracking import LINGER_S, overlap
from schemas.alert import Alert
from schemas.base import seconds
from schemas.detection import DAY_S
from schemas.episodes import AlertReason, EpisodeState

#: Revisions that nothing in the records need have caused.
_ASKED = (AlertReason.ASKED, AlertReason.MUTE_ENDED)


@dataclass
class Watch:
    """Follows one monitor look by look, from new or from where it was restored."""

    monitor: RegionMonitor
    stories: dict[str, list[Alert]] = field(default_factory=dict)
    before: dict[str, int] = field(default_factory=dict)
    """Revision of each episode that was open when the watch began."""
    ended: dict[str, int] = field(default_factory=dict)
    """The same of those that were closed, and could still be retracted."""
    faults: list[str] = field(default_factory=list)

    def began(self) -> None:
        """What was open before the first look."""
        self.before = {one.episode_id: one.revision for one in self.monitor.episodes.values()}
        self.ended = {one.episode_id: one.revision for one in self.monitor.closed}

    def look(self, outcome: LookOutcome) -> None:
        """Check one look."""
        for alert in outcome.alerts:
            story = self.stories.setdefault(alert.episode_id, [])
            self.faults += [f"{alert.episode_id}.{alert.revision}: {fault}" for fault in faults_of(alert)]
            first = (self.before | self.ended).get(alert.episode_id, 0)
            self.faults += [f"{alert.episode_id}.{alert.revision}: {fault}" for fault in steps_of(story, alert, first)]
            story.append(alert)
        self._check_open(outcome.as_of)

    def _check_open(self, as_of: int) -> None:
        episodes = list(self.monitor.episodes.values())
        self.faults += overlapping(episodes, as_of)
        told = {name for name, story in self.stories.items() if not story[-1].state.is_over}
        over = {name for name, story in self.stories.items() if story[-1].state.is_over}
        open_now = {episode.episode_id for episode in episodes}
        if open_now != (told | set(self.before)) - over:
            self.faults.append(f"open are {sorted(open_now)}, and told as open {sorted(told)}")
        self._check_closed(as_of, open_now)
        lately = {name for name in over if as_of - seconds(self.stories[name][-1].as_of) < REMEMBERED_S - DAY_S}
        if not lately <= {past.episode_id for past in self.monitor.memory.past}:
            self.faults.append("an episode that is over is forgotten")
        for mute in self.monitor.mutes():
            if not is_active(mute, as_of):
                self.faults.append(f"mute {mute.feedback_id} has ended and is listed")

    def _check_closed(self, as_of: int, open_now: set[str]) -> None:
        """What can still be retracted is closed, and the region has the records that it was told of."""
        kept = {episode.episode_id for episode in self.monitor.closed}
        if kept & open_now:
            self.faults.append(f"open and closed are {sorted(kept & open_now)}")
        kept_from = as_of - (self.monitor.detector.settings.baseline_days + KEEP_DAYS) * DAY_S
        for name, story in self.stories.items():
            begins = [seconds(alert.window.start) for alert in story]
            is_closed = story[-1].state is EpisodeState.CLOSED
            must, may = is_closed and min(begins) >= kept_from, is_closed and begins[-1] >= kept_from
            if not must <= (name in kept) <= may:
                self.faults.append(f"{name} can{'' if name in kept else 'not'} be retracted, {story[-1].state.value}")


def faults_of(alert: Alert) -> list[str]:
    """What is wrong with one alert by itself."""
    window = alert.window
    checks = {
        "is as of a moment before its window's end": alert.as_of >= window.end,
        "is about a time before it was known": alert.opened_at <= alert.as_of,
        "has a count below none": min(alert.observed.values()) >= 0,
        "has no headline": len(alert.headline) > 20,
        "does not end its history": (
            bool(alert.history)
            and alert.history[-1].revision == alert.revision
            and alert.history[-1].reason is alert.reason
            and alert.history[-1].state is alert.state
            and alert.history[-1].muted is alert.muted
        ),
        "has an outline that is not closed": all(
            ring[0] == ring[-1] and len(ring) > 4 for polygon in alert.polygons for ring in polygon
        ),
        "has no outline": bool(alert.polygons),
        "is over and asks for a review, or is not and does not": (alert.review_at is None) == alert.state.is_over,
        "expires before it is sent": alert.expires_at is not None and alert.expires_at > alert.as_of,
        "is reviewed before it is sent": alert.review_at is None or alert.review_at > alert.as_of,
        "is merged into itself": alert.merged_into != alert.episode_id,
        "split off from itself": alert.split_from != alert.episode_id,
        "is merged and does not say into what": bool(alert.merged_into)
        == (AlertReason.MERGED in {alert.reason, *(passage.reason for passage in alert.history)}),
        "misses a paragraph": [part.name for part in alert.paragraphs][:9]
        == ["where", "when", "how_many", "how_unusual", "compared", "not_known", "history", "review", "marking"],
        "is simulated and does not say so first": alert.simulated == alert.headline.startswith("[SIMULATED]"),
    }
    if alert.reason in (AlertReason.OPENED, AlertReason.ESCALATED) and not alert.not_known:
        # A window of this very look: hours are of the same incidents, also while the detector runs ahead.
        checks["has hours of other incidents than its counts"] = {
            name: sum(hours) for name, hours in alert.by_hour.items()
        } == alert.observed
    return [sentence for sentence, good in checks.items() if not good]


def steps_of(story: Sequence[Alert], alert: Alert, revision: int) -> list[str]:
    """What is wrong with a revision after those before it; `revision` is that of the last one before the story."""
    last = story[-1] if story else None
    faults = []
    if alert.revision != (last.revision if last else revision) + 1:
        faults.append("revisions have a gap, or one twice")
    if (alert.reason is AlertReason.OPENED) != (alert.revision == 1):
        faults.append("it is opened once, by its first revision")
    if alert.revision == 1 and alert.state is not EpisodeState.EMERGING:
        faults.append("it opens as something else than emerging")
    if last is None:
        return faults
    if last.state.is_over and (last.state, alert.state) != (EpisodeState.CLOSED, EpisodeState.RETRACTED):
        faults.append("something follows its end that is not the retraction of what was closed")
    if alert.as_of < last.as_of or alert.opened_at != last.opened_at or alert.split_from != last.split_from:
        faults.append("it tells another beginning, or goes back in time")
    if not set(last.absorbed) <= set(alert.absorbed):
        faults.append("it forgets what it took in")
    # States between two revisions may have changed quietly; the last step must be one of the table, or none.
    if last.state.is_over and (last.state, alert.state) not in STEPS:
        faults.append(f"nothing leads from {last.state.value} to {alert.state.value}")
    if alert.state is not last.state and alert.state not in {after for _, after in STEPS}:
        faults.append(f"nothing leads to {alert.state.value}")
    if alert.state is last.state and alert.reason not in WITHIN_A_STATE:
        faults.append(f"{alert.reason.value} does not leave a state as it is")
    if not is_material(last, alert):
        faults.append("nothing material has changed since the last revision")
    return faults


def is_material(last: Alert, alert: Alert) -> bool:
    """Whether people must know: it ended, it grew, what was told is less, a part split off, or somebody asked."""
    before, now = sum(last.observed.values()), sum(alert.observed.values())
    match alert.reason:
        case AlertReason.CLOSED | AlertReason.MERGED:
            return alert.state is EpisodeState.CLOSED
        case AlertReason.ESCALATED:
            grown = alert.score >= 1.49 * last.score and now >= before + 2
            return grown or (last.muted and not alert.muted)
        case AlertReason.EVIDENCE_WITHDRAWN:
            return (alert.observed, alert.window) != (last.observed, last.window)
        case AlertReason.SPLIT | AlertReason.MOVED:
            return alert.window != last.window
        case reason:
            return reason in _ASKED


def overlapping(episodes: Sequence[Episode], as_of: int) -> list[str]:
    """Open episodes that lie over one another beyond the merge rule.

    Two that were both found at one look never do. One that was not found at the last look is under another for a day
    at most: then it is merged.
    """
    faults = []
    for one in episodes:
        if as_of - one.now.as_of > LINGER_S:
            faults.append(f"{one.episode_id} had no window for more than a day and is open")
    for one, other in combinations(episodes, 2):
        found = one.now.as_of == other.now.as_of == as_of
        if found and overlap(one.told, other.told) and as_of - max(one.told.as_of, other.told.as_of) > LINGER_S:
            faults.append(f"{one.episode_id} and {other.episode_id} were told of at one place for more than a day")
        if one.now.as_of == other.now.as_of and overlap(one.now, other.now):
            faults.append(f"{one.episode_id} and {other.episode_id} lie over one another")
    return faults


class Watcher:
    """Follows every monitor of a test."""

    def __init__(self) -> None:
        self.watches: dict[int, Watch] = {}

    def take(self, monitor: RegionMonitor, outcome: LookOutcome) -> None:
        """One look of a monitor."""
        watch = self.watches.get(id(monitor))
        assert watch is not None and watch.monitor is monitor
        watch.look(outcome)

    def about_to_look(self, monitor: RegionMonitor) -> None:
        """Remember a monitor before its first look."""
        if id(monitor) not in self.watches:
            watch = self.watches[id(monitor)] = Watch(monitor)
            watch.began()

    @property
    def faults(self) -> list[str]:
        """Of all monitors."""
        return [fault for watch in self.watches.values() for fault in watch.faults]
