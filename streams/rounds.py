"""What each agent is at: heartbeats of stages, and how far behind they are."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from streams.metrics import STAGES, Metrics


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

    def observe(self, metrics: Metrics, topics: Iterable[str], monitor: Any, now: float) -> None:
        """Set heartbeats and lags. `monitor` is Faust's, which knows ends and committed offsets; `now` in seconds."""
        for stage in STAGES:
            if not any(agent.split(".")[1] == stage for agent, _, _ in self._at_work.values()):
                metrics.stage_heartbeat.labels(stage).set(now)
        for topic in topics:
            metrics.lag_records.labels(topic).set(_records_behind(monitor, topic))
            oldest_ms = [published_ms for _, of_topic, published_ms in self._at_work.values() if of_topic == topic]
            metrics.lag_seconds.labels(topic).set(max(0.0, now - min(oldest_ms) / 1000) if oldest_ms else 0.0)


def _records_behind(monitor: Any, topic: str) -> int:
    committed = monitor.tp_committed_offsets
    return sum(
        max(0, int(end) - int(committed.get(tp, end)))
        for tp, end in monitor.tp_end_offsets.items()
        if tp.topic == topic and end is not None
    )
