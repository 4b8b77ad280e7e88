"""What past episodes teach: the compiled loop gives each incident the weight that its slow twin gives it."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.incidents import incidents
from processors.past_episodes import PastEpisode, episode_weights
from schemas.detection import HOUR_S
from tests.builders_processors import MONDAY, located

cells = st.integers(-3, 3)
hours = st.integers(0, 30).map(lambda hour: MONDAY + hour * HOUR_S)
told = st.builds(
    PastEpisode, cells, cells, st.integers(0, 2), hours, hours, st.floats(0.0, 0.99), part=st.integers(0, 2)
)


def slow(place: tuple[int, int], occurred: int, part: int, episodes: list[PastEpisode]) -> float:
    """The weight of one incident."""
    weight = 1.0
    for episode in episodes:
        x, y = place[0] - episode.ix, place[1] - episode.iy
        if (
            x * x + y * y <= episode.radius_cells**2
            and episode.begin < occurred <= episode.end
            and episode.part in (0, part)
        ):
            weight = min(weight, episode.weight)
    return weight


@settings(deadline=None)
@given(st.lists(st.tuples(cells, cells, hours, st.integers(0, 2)), max_size=30), st.lists(told, max_size=8))
def test_each_incident_weighs_what_the_least_of_its_episodes_says(
    drawn: list[tuple[int, int, int, int]], episodes: list[PastEpisode]
) -> None:
    rows = located(
        record=np.arange(1, len(drawn) + 1),
        ix=np.array([one[0] for one in drawn], np.int64),
        iy=np.array([one[1] for one in drawn], np.int64),
        occurred=np.array([one[2] for one in drawn], np.int64),
    )
    history = incidents(rows[: len(drawn)], 0)
    part = np.array([one[3] for one in drawn], np.uint8)[: history.occurred.size]
    expected = [
        slow((int(ix), int(iy)), int(occurred), int(of_week), episodes)
        for ix, iy, occurred, of_week in zip(history.ix, history.iy, history.occurred, part, strict=True)
    ]
    assert episode_weights(history, part, episodes).tolist() == expected
