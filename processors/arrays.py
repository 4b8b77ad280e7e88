"""Names for the array types that pass between kernels and their wrappers, and the sizes that all of them share."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from schemas.located import KIND_NAMES

Ints = NDArray[np.int64]
Small = NDArray[np.int32]
Bytes = NDArray[np.uint8]
Halves = NDArray[np.uint16]
Words = NDArray[np.uint64]
Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Keys = NDArray[np.uint64]
Rows = NDArray[Any]

#: Kinds of record (ED, police). A constant, so that kernels unroll their innermost loops.
KINDS: Final = len(KIND_NAMES)
#: Parts of the week in which a place has its own share: weekday day, weekday night, weekend day, weekend night.
BLOCKS: Final = 4
#: Columns of a table that holds one number a kind and block, kind first.
COLUMNS: Final = KINDS * BLOCKS
