"""Where benchmarks and tests find the real data that does not lie in the repository."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CHICAGO = "chicago_aggravated_assault_2010_2019.csv.gz"


class BenchDataMissingError(RuntimeError):
    """The data that a benchmark needs is not on this machine."""


def data_path(name: str) -> Path:
    """Where a file of real data is, if it is on this machine: in the folder HOTSPOT_DATA, or in ../shared/data."""
    return Path(os.environ.get("HOTSPOT_DATA", ROOT.parent / "shared" / "data")) / name


def data_file(name: str) -> Path:
    """A file of real data. Raises BenchDataMissingError where there is none."""
    path = data_path(name)
    if not path.is_file():
        raise BenchDataMissingError(f"It needs {name} in the folder that HOTSPOT_DATA names.")
    return path
