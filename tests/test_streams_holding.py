"""When a region that is being brought up to date is looked at."""

from __future__ import annotations

import pytest

from streams.holding import BACKLOG_DONE_S, LONGEST_UNSEEN_S, Backlog


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
