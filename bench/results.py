"""The measured figures, and bench/results.json, where they are kept."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

RESULTS = Path(__file__).parent / "results.json"


@dataclass(frozen=True)
class Figure:
    """One measured figure: the median of its runs."""

    value: float
    unit: str
    runs: list[float]
    command: str
    limited_by: str


def write(figures: Mapping[str, Figure]) -> None:
    """Put figures among those that were measured before."""
    measured = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    measured.update({name: asdict(figure) for name, figure in figures.items()})
    RESULTS.write_text(json.dumps(measured, indent=2, sort_keys=True) + "\n", encoding="utf-8")
