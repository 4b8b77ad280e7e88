"""How far behind agents say that they are."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from streams.metrics import Metrics
from streams.rounds import SILENT_S, Rounds

NOW = 1_000_000.0
TOPIC = "hotspot.located"


def lag_s(rounds: Rounds, silent_s: float) -> float:
    metrics = Metrics()
    monitor = SimpleNamespace(tp_committed_offsets={}, tp_end_offsets={})
    rounds.observe(metrics, [TOPIC], monitor, NOW, silent_s)
    return float(metrics.lag_seconds.labels(TOPIC)._value.get())


def test_at_work_the_lag_is_the_age_of_the_oldest_message() -> None:
    rounds = Rounds()
    assert lag_s(rounds, 0.0) == 0.0
    older = rounds.begin("hotspot.monitor", TOPIC, (NOW - 30) * 1000)
    rounds.begin("hotspot.monitor", TOPIC, (NOW - 20) * 1000)
    rounds.begin("hotspot.ingest.ed", "hotspot.ed.attendances", (NOW - 90) * 1000)
    assert lag_s(rounds, 0.0) == pytest.approx(30)
    rounds.end(older)
    assert lag_s(rounds, 0.0) == pytest.approx(20)


def test_a_worker_that_is_cut_off_does_not_say_that_nothing_waits() -> None:
    rounds = Rounds()
    assert lag_s(rounds, SILENT_S) == 0.0
    assert lag_s(rounds, 40.0) == 40.0
    rounds.begin("hotspot.monitor", TOPIC, (NOW - 60) * 1000)
    assert lag_s(rounds, 40.0) == pytest.approx(60)
