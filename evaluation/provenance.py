"""Which data and which code a backtest was made of."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Callable
from datetime import date, timedelta
from importlib.metadata import version
from pathlib import Path

import numpy as np

from processors.feeds import codes_of
from processors.localtime import LocalHours
from schemas.backtest import Code, Data, SourceFacts
from schemas.located import KIND_NAMES, LocatedArray
from schemas.region import RegionFile

EPOCH = date(1970, 1, 1)
HERE = Path(__file__).resolve()


def data_facts(
    file: Path, rows: LocatedArray, region: RegionFile, local: LocalHours, split_off: str | None, simulated: bool
) -> Data:
    """Facts of a file and of its rows that were used; `split_off` names a source that was made of records of others.

    `simulated` is whether all of them are.
    """
    occurred = rows["occurred"]
    first, last = (EPOCH + timedelta(days=local.day(int(at))) for at in (occurred.min(), occurred.max()))
    _, newest = np.unique(rows["record"], return_index=True)
    codes, records = np.unique(codes_of(rows[newest]), return_counts=True)
    return Data(
        file=file.name,
        sha256=_sha256(file),
        first=first,
        last=last,
        sources=tuple(
            SourceFacts(
                source=region.sources[code & 0xFFFF].id,
                kind="ed" if KIND_NAMES[code >> 16] == "ed" else "police",
                records=n,
                simulated=region.sources[code & 0xFFFF].id == split_off,
            )
            for code, n in zip(codes.tolist(), records.tolist(), strict=True)
        ),
        attribution=region.attribution,
        simulated=simulated,
    )


def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def code_facts(git: Callable[..., str | None] | None = None) -> Code:
    """Version, and the commit where the product runs from a checkout; `git` runs git in the folder of this module."""
    ask = git or _git
    # A checkout may hold an installed copy of the product that is none of its files.
    ours = ask("ls-files", "--error-unmatch", HERE.name) is not None
    commit = ask("rev-parse", "HEAD") if ours else None
    changed = bool(ask("status", "--porcelain")) if commit else False
    return Code(version=version("hotspot-monitor"), commit=commit, changed=changed)


def _git(*arguments: str) -> str | None:
    """What git says; None where it fails or is not there."""
    try:
        done = subprocess.run(["git", *arguments], cwd=HERE.parent, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
