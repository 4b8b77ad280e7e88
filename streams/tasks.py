"""Tasks and threads that come to their end without a fuss."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, TypeVar

F = TypeVar("F", bound="asyncio.Future[Any]")
T = TypeVar("T")


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
            _look(task)


def seen(future: F) -> F:
    """The same future, of which nobody need warn that its error was never asked for: it is told in another way too."""
    future.add_done_callback(_look)
    return future


def _look(future: asyncio.Future[Any]) -> None:
    if not future.cancelled():
        future.exception()


async def in_thread(name: str, work: Callable[[], T]) -> T:
    """Do work in a thread of its own, for which nothing waits: not who is cancelled, not the end of the process."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def tell(how: Callable[[Any], None], result: object) -> None:
        if not done.done():  # else cancelled
            how(result)

    def run() -> None:
        how: Callable[[Any], None] = done.set_result
        try:
            result: object = work()
        except BaseException as error:
            how, result = done.set_exception, error
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(tell, how, result)

    threading.Thread(target=run, name=name, daemon=True).start()
    return await done
