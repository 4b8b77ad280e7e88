"""Outlines of windows: the disc that is joined once and moved is the disc."""

from __future__ import annotations

import pytest

from alerts.outline import disc, outline, outline_of_disc
from processors.grid import Grid
from tests.builders import hampshire

GRID = Grid(hampshire())


@pytest.mark.parametrize("radius_cells", range(9))
@pytest.mark.parametrize("place", [(0, 0), (1768, 442), (-3, 7)])
def test_the_outline_of_a_disc_is_that_of_its_cells(radius_cells: int, place: tuple[int, int]) -> None:
    cells = disc(*place, radius_cells)
    assert outline_of_disc(*place, radius_cells, GRID) == outline(cells, GRID)


def test_holes_are_rings_of_their_polygon() -> None:
    cells = [cell for cell in disc(1768, 442, 3) if cell not in disc(1768, 442, 1)]
    ((outer, hole),) = outline(cells, GRID)
    assert len(hole) < len(outer)
    for ring in (outer, hole):
        assert ring[0] == ring[-1]
