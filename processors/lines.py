"""Texts as lines of bytes, for kernels that read many at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numba import njit

from processors.arrays import Bytes

NEWLINE: Final = ord("\n")


def lines_of(texts: Sequence[str]) -> Bytes:
    """The texts in UTF-8, a newline after each. A text that has one of its own stands there as an empty one."""
    joined = "\n".join([*texts, ""])
    if joined.count("\n") != len(texts):
        joined = "\n".join(["" if "\n" in text else text for text in texts] + [""])
    return np.frombuffer(joined.encode(), np.uint8)


@njit(cache=True, nogil=True)
def count_lines(lines: Bytes) -> int:
    """How many there are."""
    n = 0
    for byte in lines:
        n += byte == NEWLINE
    return n
