"""What each agent is at: heartbeats of stages, and how far behind they are."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from streams.metrics import STAGES, Metrics

#: The group answers each second or so; it is silent where it has not for longer than this, seconds.
SILENT_S = 5.0


@dataclass(slots=True)
class Rounds:
    """An agent at rest is well; one at work for long shows by a heartbeat that does not move."""

    _at_work: dict[int, tuple[str, str, float]] = field(default_factory=dict)
    _begun: int = 0

    def begin(self, agent: str, topic: str, published_ms: float) -> int:
        """An agent takes a fetch whose first record was published then. Returns the number of this round."""
        self._begun += 1
        self._at_work[self._begun] = (agent, topic, published_ms)
        return self._begun

    def end(self, number: int) -> None:
        """It is done with it."""
        self._at_work.pop(number, None)

    def observe(self, metrics: Metrics, topics: Iterable[str], monitor: Any, now: float, silent_s: float = 0.0) -> None:
        """Set heartbeats and lags. `monitor` is Faust's, which knows ends and committed offsets; `now` in seconds.

        Of a group that has been silent for `silent_s` seconds nobody here can tell what it has: it may be as old.
        """
        unknown_s = silent_s if silent_s > SILENT_S else 0.0
        for stage in STAGES:
            if not any(agent.split(".")[1] == stage for agent, _, _ in self._at_work.values()):
                metrics.stage_heartbeat.labels(stage).set(now)
        for topic in topics:
            metrics.lag_records.labels(topic).set(_records_behind(monitor, topic))
            oldest_ms = [published_ms for _, of_topic, published_ms in self._at_work.values() if of_topic == topic]
            metrics.lag_seconds.labels(topic).set(max(unknown_s, *(now - ms / 1000 for ms in oldest_ms), 0.0))


def _records_behind(monitor: Any, topic: str) -> int:
    committed = monitor.tp_committed_offsets
    return sum(
        max(0, int(end) - int(committed.get(tp, end)))
        for tp, end in monitor.tp_end_offsets.items()
        if tp.topic == topic and end is not None
    )
