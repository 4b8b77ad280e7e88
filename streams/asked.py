"""Asks the broker by librdkafka, within a deadline that holds whatever becomes of the wall clock."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, TypeVar

from schemas.base import ToldError
from streams.tasks import in_thread

T = TypeVar("T")

#: More than all timeouts of librdkafka's own for one question of the start, seconds.
ANSWER_S: Final = 75.0
#: So long may take what reads a whole topic, seconds.
READ_S: Final = 600.0


class NoAnswerError(ToldError, TimeoutError):
    """The client of the broker has not come back."""


async def asked(ask: Callable[[], T], within_s: float = ANSWER_S) -> T:
    """What `ask` returns, which is done in a thread of its own. Raises what it does, and NoAnswerError after a time.

    librdkafka waits by the wall clock (its issue 2145): where that is set back meanwhile, as one is that was wrong when
    the machine started, a wait of some seconds lasts for hours, and its timeouts with it. The thread is left to itself.
    """
    try:
        async with asyncio.timeout(within_s):
            return await in_thread("hotspot-asks", ask)
    except TimeoutError:
        raise NoAnswerError(
            f"The client of Kafka did not come back within {within_s:.0f} s; perhaps the clock was set back."
        ) from None
