"""What is remembered of episodes, mutes and feedback, and for how long."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from alerts.handling import REMEMBERED_S, Memory, Past, forget
from schemas.base import moment
from schemas.episodes import EpisodeState, Mute

NOW = 1_780_000_000
AGES = st.lists(st.integers(REMEMBERED_S - 2, REMEMBERED_S + 2), max_size=4)


def mute(number: int, ends_in_s: int) -> Mute:
    return Mute(
        episode_id=f"e-{number}",
        feedback_id=f"f-{number}",
        since=moment(NOW) - timedelta(days=1),
        until=moment(NOW + ends_in_s),
        ix=0,
        iy=0,
        radius_cells=0,
        score=1.0,
        incidents=3,
    )


@given(AGES, AGES, st.lists(st.integers(-1, 1), max_size=3))
def test_what_is_older_than_the_topics_is_forgotten(past: list[int], applied: list[int], mutes: list[int]) -> None:
    memory = Memory(
        mutes=tuple(mute(n, ends_in) for n, ends_in in enumerate(mutes)),
        past=tuple(
            Past(f"e-{n}", 0, NOW - age, EpisodeState.CLOSED) for n, age in enumerate(sorted(past, reverse=True))
        ),
        applied=tuple((f"f-{n}", NOW - age) for n, age in enumerate(applied)),
    )
    left = forget(memory, NOW)
    assert left == replace(
        memory,
        mutes=tuple(one for one, ends_in in zip(memory.mutes, mutes, strict=True) if ends_in > 0),
        past=tuple(one for one in memory.past if one.ended_at > NOW - REMEMBERED_S),
        applied=tuple(one for one in memory.applied if one[1] > NOW - REMEMBERED_S),
    )
    assert (left is memory) == (left == memory)
