"""Gives memory that is free back to the machine, where the C library can."""

from __future__ import annotations

import ctypes


def give_back() -> None:
    """Have the allocator return what it keeps for later, which after a restore or a refit is a good part of all.

    Does nothing where there is no glibc.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
