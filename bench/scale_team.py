"""Workers of `make scale` in processes of their own, and what keeps their feeds from falling silent."""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from bench.holder import Holder
from bench.scale_history import Stored
from bench.servers import Message, publish
from schemas.settings import Settings

LOOK_EVERY_S: Final = 0.25
TELL_EVERY_S: Final = 30.0
LONGEST_S: Final = 6 * 3600.0
#: The broker's data lies in the folder for temporary files; a run ends before it takes the last of the disk, bytes.
LEAST_FREE: Final = 4 << 30


class LimitError(RuntimeError):
    """The workers took more memory than they may, or the broker nearly all of the disk."""


class Team:
    """Workers in processes of their own, and what they tell together."""

    def __init__(self, settings: Settings, count: int, most_mib: float) -> None:
        self._settings, self._most_mib = settings, most_mib
        self.holders = [Holder(settings) for _ in range(count)]

    def wait(self, done: Callable[[], bool], what: str, progress: Callable[[], str] | None = None) -> None:
        """Wait for something. Raises RuntimeError where a worker ends first or time is up, and LimitError."""
        begin = told = time.monotonic()
        while not done():
            if not all(holder.running for holder in self.holders):
                raise RuntimeError(f"a worker ended before this: {what}")
            taken = sum(holder.rss_mb() for holder in self.holders)
            if taken > self._most_mib:
                raise LimitError(f"the workers took {taken:.0f} MiB, more than --memory-gib, before this: {what}")
            if shutil.disk_usage(tempfile.gettempdir()).free < LEAST_FREE:
                raise LimitError(
                    f"less than {LEAST_FREE >> 30} GiB of disk are left in {tempfile.gettempdir()}: {what}"
                )
            now = time.monotonic()
            if now - begin > LONGEST_S:
                raise RuntimeError(f"not within {LONGEST_S:.0f} s: {what}")
            if progress is not None and now - told > TELL_EVERY_S:
                told = now
                print(f"    {progress()}; workers hold {taken:,.0f} MiB", flush=True)
            time.sleep(LOOK_EVERY_S)

    def settled(self) -> int:
        """Records whose outcome is known."""
        return sum(int(told["records"]) for holder in self.holders if (told := holder.latest("settled")))

    def last_settled_at(self) -> float:
        """When the latest of them was settled."""
        return max(float(told["at"]) for holder in self.holders if (told := holder.latest("settled")))

    def busy_s(self) -> float:
        """Processor time of all."""
        return sum(holder.busy_s() for holder in self.holders)

    def lose(self, number: int) -> None:
        """Kill one."""
        self.holders.pop(number).kill()

    def gain(self) -> Holder:
        """Start another."""
        self.holders.append(Holder(self._settings))
        return self.holders[-1]

    def kill(self) -> None:
        """End them all."""
        for holder in self.holders:
            holder.kill()


class Feed:
    """Publishes what becomes known after the history as it becomes known, so that no feed falls silent."""

    def __init__(self, settings: Settings, ahead: Sequence[Stored]) -> None:
        self._settings, self._ahead, self._next = settings, ahead, 0

    def catch_up(self, now: float) -> None:
        """Publish what is due."""
        due: list[Message] = []
        while self._next < len(self._ahead) and self._ahead[self._next].at <= now:
            due.append(self._ahead[self._next].message(self._settings))
            self._next += 1
        if due:
            publish(self._settings, due)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Keep it up meanwhile."""
        over = threading.Event()

        def run() -> None:
            self.catch_up(time.time())
            while not over.wait(LOOK_EVERY_S):
                self.catch_up(time.time())

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
