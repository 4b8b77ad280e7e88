"""When a region that is being brought up to date is looked at, and how its steps are written."""

from __future__ import annotations

import pytest

from alerts.monitor import RegionMonitor
from processors.records import FEW_CHANGED
from schemas.detection import DetectionSettings
from streams.holding import BACKLOG_DONE_S, LONGEST_UNSEEN_S, MOST_ADDED, MOST_ADDED_BYTES, Backlog, Held
from streams.state import ADDED_BYTES
from tests.builders import hampshire
from tests.builders_processors import located


def test_something_fresh_is_looked_at_and_so_is_a_tick() -> None:
    backlog = Backlog(looked_s=0.0)
    assert not backlog.holds(1.0, old=False, tick=False)
    assert not backlog.holds(61.0, old=False, tick=True)


def test_a_tick_amid_a_backlog_waits_until_nothing_more_comes_of_it() -> None:
    backlog = Backlog(looked_s=0.0)
    for second in range(60):
        assert backlog.holds(float(second), old=True, tick=False)
        assert backlog.holds(second + 0.5, old=False, tick=True)
    assert backlog.holds(59.0 + BACKLOG_DONE_S - 0.1, old=False, tick=True)
    assert not backlog.holds(59.0 + BACKLOG_DONE_S, old=False, tick=True)


def test_something_fresh_ends_the_wait() -> None:
    backlog = Backlog(looked_s=0.0)
    assert backlog.holds(1.0, old=True, tick=False)
    assert not backlog.holds(1.1, old=False, tick=False)


@pytest.mark.parametrize("since", [0.0, 1_000_000.0])
def test_a_publisher_whose_clock_is_slow_for_ever_hides_nothing(since: float) -> None:
    backlog = Backlog(looked_s=since)
    looks = []
    for second in range(1, 3_600):
        assert backlog.holds(since + second, old=True, tick=False)
        if second % 60 == 0 and not backlog.holds(since + second, old=False, tick=True):
            looks.append(second)
    assert looks == [600, 1200, 1800, 2400, 3000]
    assert looks[0] == LONGEST_UNSEEN_S


def test_whole_weeks_are_written_at_first_and_again_after_so_many_steps() -> None:
    held = Held(RegionMonitor(hampshire(), DetectionSettings()), 0, Backlog())
    written = []
    for number in range(2 * MOST_ADDED + 3):
        held.monitor.take(located(record=[number + 1]))
        parts, add = held.snapshot()
        told = [name for name, part in parts.items() if part and name.startswith("records/")]
        assert told
        assert all(name.startswith("records/+") == add for name in told)
        written.append(add)
    assert [number for number, add in enumerate(written) if not add] == [0, MOST_ADDED + 1, 2 * MOST_ADDED + 2]


def test_a_step_that_changes_many_records_is_written_as_weeks() -> None:
    held = Held(RegionMonitor(hampshire(), DetectionSettings()), 0, Backlog())
    held.snapshot()
    held.monitor.take(located(record=range(1, FEW_CHANGED + 2)))
    parts, add = held.snapshot()
    assert not add
    assert not any(name.startswith("records/+") for name, part in parts.items() if part)


def test_whole_weeks_are_written_again_after_so_many_bytes() -> None:
    held = Held(RegionMonitor(hampshire(), DetectionSettings()), 0, Backlog())
    added = 0
    for number in range(20):
        held.monitor.take(located(record=range(number * FEW_CHANGED + 1, (number + 1) * FEW_CHANGED + 1)))
        parts, add = held.snapshot()
        assert add == (number > 0 and added < MOST_ADDED_BYTES)
        added = added + sum(map(len, parts.values())) if add else 0
    assert added < MOST_ADDED_BYTES + ADDED_BYTES
