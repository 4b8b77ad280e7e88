"""Where benchmarks find the real data that does not lie in the repository."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CHICAGO = "chicago_aggravated_assault_2010_2019.csv.gz"


class BenchDataMissingError(RuntimeError):
    """The data that a benchmark needs is not on this machine."""


def data_file(name: str) -> Path:
    """A file of HOTSPOT_DATA, or of ../shared/data. Raises BenchDataMissingError."""
    folder = Path(os.environ.get("HOTSPOT_DATA", ROOT.parent / "shared" / "data"))
    path = folder / name
    if not path.is_file():
        raise BenchDataMissingError(f"It needs {name} in the folder that HOTSPOT_DATA names.")
    return path
