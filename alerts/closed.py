"""Closed episodes of a region, each for as long as all records behind it are kept: so long it can be retracted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from pydantic import TypeAdapter

from alerts.episodes import Episode
from alerts.evidence import touches
from processors.runs import NEVER
from schemas.located import LocatedArray

_PREFIX: Final = "closed/"


@dataclass(frozen=True, slots=True)
class ClosedEpisode:
    """A closed episode, and what it takes to judge it again."""

    episode: Episode
    floor: float
    """The closing level when it ended: calibrations that came later say nothing about what was told."""


_CLOSED: Final = TypeAdapter(ClosedEpisode)


class Closed:
    """Each is a part of the region's state by itself, which is written when it ends and when it is forgotten."""

    def __init__(self) -> None:
        self._kept: dict[str, ClosedEpisode] = {}
        self._unsaved: set[str] = set()
        self._oldest = NEVER
        """No window of any of them begins before this, s."""

    def __len__(self) -> int:
        return len(self._kept)

    def __iter__(self) -> Iterator[Episode]:
        return (kept.episode for kept in self._kept.values())

    def get(self, episode_id: str) -> Episode | None:
        """One that is kept."""
        kept = self._kept.get(episode_id)
        return None if kept is None else kept.episode

    def add(self, episode: Episode, floor: float) -> None:
        """One that ended, and the closing level at that time."""
        self._kept[episode.episode_id] = ClosedEpisode(episode, floor)
        self._unsaved.add(episode.episode_id)
        self._oldest = min(self._oldest, _begin(episode))

    def replace(self, episode: Episode) -> None:
        """People said something about one that is kept."""
        self._kept[episode.episode_id] = replace(self._kept[episode.episode_id], episode=episode)
        self._unsaved.add(episode.episode_id)

    def drop(self, episode_id: str) -> None:
        """One was retracted."""
        del self._kept[episode_id]
        self._unsaved.add(episode_id)

    def forget(self, kept_from: int) -> None:
        """Drop those that rest on records older than this, s: the region no longer has them, so they cannot be counted
        again, and nobody can withdraw them any more."""
        if kept_from <= self._oldest:
            return
        for name in [name for name, kept in self._kept.items() if _begin(kept.episode) < kept_from]:
            self.drop(name)
        self._find_oldest()

    def touched(self, removed: LocatedArray) -> list[ClosedEpisode]:
        """Those of whose grounds rows that count no more may have been a part, by when they ended."""
        first, last = int(removed["occurred"].min()), int(removed["occurred"].max())
        found = [
            kept
            for kept in self._kept.values()
            if any(
                ground.as_of >= first and ground.as_of - ground.span_s < last and touches(removed, ground)
                for ground in kept.episode.grounds
            )
        ]
        return sorted(found, key=lambda kept: (kept.episode.state_since, kept.episode.episode_id))

    def snapshot(self) -> dict[str, bytes]:
        """The parts that changed since the last snapshot; empty bytes for one that is kept no more."""
        parts = {
            _PREFIX + name: _CLOSED.dump_json(self._kept[name]) if name in self._kept else b""
            for name in sorted(self._unsaved)
        }
        self._unsaved.clear()
        return parts

    def restore(self, parts: Mapping[str, bytes]) -> None:
        """Go on from the parts of a state. One that was written before there were such parts has none."""
        found = [_CLOSED.validate_json(part) for name, part in parts.items() if name.startswith(_PREFIX) and part]
        self._kept = {kept.episode.episode_id: kept for kept in found}
        self._find_oldest()

    def _find_oldest(self) -> None:
        self._oldest = min((_begin(kept.episode) for kept in self._kept.values()), default=NEVER)


def _begin(episode: Episode) -> int:
    """When the first of its windows begins, s."""
    return min(ground.as_of - ground.span_s for ground in episode.grounds)
