"""Ends tasks for good."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any


async def end(tasks: Iterable[asyncio.Task[Any]], again_s: float) -> None:
    """Cancel tasks until they are over, whatever they raise; again if they go on after so many seconds.

    Once is not always enough: seen with redis 8.1, a command amid which its task is cancelled may return as if nothing
    had been. But a task that has something to close needs its time.
    """
    left = set(tasks)
    while left:
        for task in left:
            task.cancel()
        done, left = await asyncio.wait(left, timeout=again_s)
        for task in done:
            if not task.cancelled():
                task.exception()  # seen, so that nobody warns of it
