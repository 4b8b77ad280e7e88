"""Files of hotspots to plant: a CSV, one sort a row."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from evaluation.grid import FAMILIES, family
from schemas.base import ToldError
from schemas.evaluation import HotspotSpec
from schemas.region import first_sentence


class HotspotFileError(ToldError, ValueError):
    """Hotspots that cannot be planted; the message is one sentence."""


def read_specs(path: Path) -> tuple[HotspotSpec, ...]:
    """The rows of a file. Raises HotspotFileError."""
    found: list[HotspotSpec] = []
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            for number, row in enumerate(csv.DictReader(file), start=2):
                try:
                    found.append(HotspotSpec.model_validate_strings({k: v for k, v in row.items() if k and v}))
                except ValidationError as error:
                    raise HotspotFileError(f"Line {number} of {path}: {first_sentence(error)}.") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise HotspotFileError(f"The file {path} cannot be read: {error}.") from None
    if not found:
        raise HotspotFileError(f"The file {path} has no hotspot to plant.")
    return tuple(found)


def specs_of(named: Sequence[str]) -> tuple[HotspotSpec, ...]:
    """All hotspots of families of the built-in grid and of files. Raises HotspotFileError."""
    found = [spec for name in named for spec in (family(name) if name in FAMILIES else read_specs(Path(name)))]
    names = [spec.name for spec in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise HotspotFileError(f"There are two hotspots named {twice[0]!r} in {' and '.join(named)}.")
    return tuple(found)
