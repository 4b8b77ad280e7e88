"""The rows of a file that a region file is proposed from: all of a small file, every so many-th of a large one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import click

from streams.csv_file import IncidentFileError, Layout, Row, layout_of, open_bytes, table, told

#: From twice as many rows on, every second of those kept is dropped.
KEPT = 25_000
#: Smaller files are read before a bar could be drawn.
BAR_FROM_BYTES = 20_000_000


@dataclass(frozen=True, slots=True)
class Sample:
    """Rows of a file, evenly taken."""

    path: Path
    layout: Layout
    header: Row
    rows: Sequence[Row]
    total: int
    """Rows of the whole file."""

    @property
    def whole(self) -> bool:
        """Whether it holds every row."""
        return len(self.rows) == self.total

    def column(self, name: str) -> list[str]:
        """The cells of a column."""
        n = self.header.index(name)
        return [row[n] for row in self.rows]


def read_sample(path: Path, keep: int = KEPT) -> Sample:
    """Stream a file, and keep a sample of its rows. Raises IncidentFileError."""
    layout = layout_of(path)
    with told(path):
        size = path.stat().st_size
    if size < BAR_FROM_BYTES:
        return _sample(path, layout, keep, lambda _: None)
    with told(path), open_bytes(path) as file:
        # The size of what a compressed file holds is not known before it was read.
        length = None if path.suffix == ".gz" else file.seek(0, 2)
    stderr = click.get_text_stream("stderr")
    with click.progressbar(length=length or size * 6, label="Reading", file=stderr) as bar:
        return _sample(path, layout, keep, bar.update)


def _sample(path: Path, layout: Layout, keep: int, passed: Callable[[int], object]) -> Sample:
    rows = table(path, layout, passed)
    header = [name.strip() for name in next(rows, [])]
    kept: list[Row] = []
    step, total = 1, 0
    for row in rows:
        if total % step == 0:
            kept.append(row)
            if len(kept) >= 2 * keep:
                kept = kept[::2]
                step *= 2
        total += 1
    if not total:
        raise IncidentFileError(f"The file {path} has a header and no rows: export it with its records.")
    return replace(Sample(path, layout, header, (), total), rows=kept)
