"""What every agent does: one event after the other to its handler, and each acknowledged when it is done."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from streams.fetch import Fetch
from streams.rounds import Rounds

#: Returns when the next event may be handled. What that returns ends when this one may be acknowledged; None: now.
Handle = Callable[[tuple[Fetch, ...]], Awaitable[Awaitable[Any] | None]]


class AgentLoop:
    """The loop of one agent. `fail` is told of an error: the agent ends with it, and so must the worker."""

    def __init__(
        self, name: str, topic: str, handle: Handle, ahead: int, rounds: Rounds, fail: Callable[[BaseException], None]
    ) -> None:
        """`ahead`: most events that may be handled and not yet done."""
        self._name, self._topic, self._handle, self._ahead = name, topic, handle, ahead
        self._rounds, self._fail = rounds, fail
        self._under_way: set[asyncio.Task[None]] = set()

    async def run(self, stream: Any) -> None:
        """Handle the events of a Faust stream until it ends."""
        async for event in stream.noack().events():
            number = self._rounds.begin(self._name, self._topic, min(f.records[0].timestamp for f in event.value))
            try:
                rest = await self._handle(event.value)
            except Exception as error:
                # Not acknowledged, so nothing is lost: the worker ends, and the next one reads it again.
                self._fail(error)
                raise
            if rest is None:
                await self._end(event, number, None)
                continue
            # The broker has yet to answer: what comes next need not wait for that. Offsets wait for the head.
            task = asyncio.create_task(self._end(event, number, rest))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)
            if len(self._under_way) >= self._ahead:
                await asyncio.wait(self._under_way, return_when=asyncio.FIRST_COMPLETED)

    async def _end(self, event: Any, number: int, rest: Awaitable[Any] | None) -> None:
        if rest is not None:
            try:
                await rest
            except Exception as error:
                self._fail(error)  # not acknowledged, as above
                raise
        event.ack()
        self._rounds.end(number)
