"""The permutation p-value of a window, against shuffles."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.permutation import hypergeometric, window_p_value


@pytest.mark.parametrize(
    ("observed", "around", "usual", "history"),
    [((3, 0), (10, 4), (5, 2), (200, 80)), ((2, 4), (30, 60), (10, 20), (300, 900)), ((1, 0), (1, 0), (0, 0), (50, 0))],
)
def test_the_chance_is_that_of_shuffled_times(
    observed: tuple[int, int], around: tuple[int, int], usual: tuple[int, int], history: tuple[int, int]
) -> None:
    rng = np.random.default_rng(1)
    rounds = 20_000
    shuffled = np.zeros(rounds, np.int64)
    for inside, span, places, past in zip(observed, around, usual, history, strict=True):
        marked = np.arange(past + span) < places + inside
        for n in range(rounds):
            shuffled[n] += (
                marked[rng.integers(0, marked.size, 0)].sum() if not span else rng.choice(marked, span, False).sum()
            )
    hits = int((shuffled >= sum(observed)).sum())
    p = window_p_value(observed, around, usual, history)
    assert abs(hits / rounds - p) <= 4 * np.sqrt(p * (1 - p) / rounds) + 1e-12


@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 60))
def test_chances_sum_to_one(marked: int, other: int, drawn: int) -> None:
    drawn = min(drawn, marked + other)
    chance = hypergeometric(marked + other, marked, drawn)
    assert chance.sum() == pytest.approx(1.0)
    assert (chance >= 0).all()
    if marked + other:
        assert (chance * np.arange(drawn + 1)).sum() == pytest.approx(drawn * marked / (marked + other))


def test_where_nothing_happened_nothing_is_unusual() -> None:
    assert window_p_value((0, 0), (0, 0), (0, 0), (0, 0)) == 1.0
    assert window_p_value((9, 0), (10, 0), (1, 0), (5_000, 0)) < 1e-15
