"""Pure numerics: records in, detections out. No input or output, no clock, no logging."""

from __future__ import annotations

import hashlib
from pathlib import Path

from numba import config

_HERE = Path(__file__).parent


def _kernel_cache() -> str:
    """A folder of compiled kernels that belongs to exactly these sources.

    Numba looks at the file of the kernel only when it decides whether what it compiled before is still good, not
    at the files of the kernels that were compiled into it: after an upgrade it could run half of the old code.
    """
    sources = hashlib.sha256()
    for path in sorted(_HERE.rglob("*.py")):
        sources.update(path.read_bytes())
    parent = Path(config.CACHE_DIR) if config.CACHE_DIR else _HERE / "__pycache__"
    return str(parent / f"hotspot-kernels-{sources.hexdigest()[:16]}")


config.CACHE_DIR = _kernel_cache()
