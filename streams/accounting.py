"""What became of every record: the figures that a replay and the demo print, kept beside the metrics."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from alerts.monitor import Tally
from schemas.located import KIND_NAMES, Kind
from streams.metrics import FEEDBACK_LABEL, Metrics


@dataclass(slots=True)
class Accounting:
    """Counts records by outcome; every record has exactly one: located, gated, rejected or duplicate."""

    metrics: Metrics
    outcomes: Counter[str] = field(default_factory=Counter)

    def settle(self, tally: Tally) -> None:
        """Count what became of located records."""
        for (kind, outcome), count in tally.items():
            self._count(kind, outcome, count)

    def reject(self, kind: Kind, reason: str) -> None:
        """Count one refused message."""
        self.metrics.rejected.labels(KIND_NAMES[kind], reason).inc()
        self._count(kind, "rejected", 1)

    def refuse_feedback(self, reason: str) -> None:
        """Count one refused message of the feedback topic: it is no record."""
        self.metrics.rejected.labels(FEEDBACK_LABEL, reason).inc()

    def _count(self, kind: Kind, outcome: str, count: int) -> None:
        if count:
            self.outcomes[outcome] += count
            self.metrics.records.labels(KIND_NAMES[kind], outcome).inc(count)

    @property
    def settled(self) -> int:
        """Records whose outcome is known."""
        return sum(self.outcomes.values())
