"""Keeps an eye on the feeds of a region: when each was last heard, what looks wrong, and which times are no times."""

from __future__ import annotations

from typing import Any

from processors.feedhealth import NO_HEALTH, DefaultTime, Finding, Health, at_default_time, check_feeds
from processors.feeds import Feeds, Heard
from processors.localtime import LocalHours
from processors.records import RecordStore
from schemas.feeds import FeedProblem
from schemas.located import Gate, LocatedArray, Status, join


class FeedWatch:
    """Signs of life come with each record; checks are made when a baseline is fitted."""

    def __init__(self, local: LocalHours) -> None:
        self._local = local
        self._health = NO_HEALTH
        self.heard = Heard()

    def gated(self, rows: LocatedArray) -> LocatedArray:
        """The rows, those with a default time of their feed gated."""
        if not self._health.defaults:
            return rows
        default = at_default_time(rows, self._health.defaults, self._local)
        default &= (rows["gate"] == Gate.NONE) & (rows["status"] != Status.WITHDRAWN)
        if not default.any():
            return rows
        copy = join([rows])
        copy["gate"][default] = Gate.DEFAULT_TIME
        return copy

    def check(self, store: RecordStore, at: int) -> bool:
        """Look for what is wrong with feeds; whether records were gated, or are no longer."""
        health = check_feeds(store.kept(), at, self._local)
        same = health.defaults == self._health.defaults
        self._health = health
        if same:
            return False
        return store.gate(lambda rows: at_default_time(rows, health.defaults, self._local), Gate.DEFAULT_TIME) > 0

    def notices(self, feeds: Feeds | None, heard: tuple[int, ...], as_of: int) -> list[tuple[Finding, int | None]]:
        """What is wrong with feeds last heard at these moments, and since when those that are silent are it, s."""
        silent: list[tuple[Finding, int | None]] = []
        if feeds is not None:
            for f, last in enumerate(heard):
                if as_of - last > feeds.quiet_s[f]:
                    found = Finding(int(feeds.kind[f]), int(feeds.source[f]), FeedProblem.SILENT)
                    silent.append((found, last))
        gone = {(found.kind, found.source) for found, _ in silent}  # no wonder that little came of it
        told = [f for f in self._health.findings if (f.kind, f.source) not in gone or f.problem != FeedProblem.THIN]
        return silent + [(finding, None) for finding in told]

    def state(self) -> dict[str, Any]:
        """What must survive a restart."""
        return {"heard": self.heard.state(), "health": [[list(entry) for entry in part] for part in self._health]}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state."""
        self.heard.restore(state["heard"])
        findings, defaults = state["health"]
        self._health = Health(
            tuple(Finding(kind, source, FeedProblem(problem)) for kind, source, problem in findings),
            tuple(DefaultTime(*default) for default in defaults),
        )
