"""The worker processes of a round: `hotspot worker`, started again when they end, as a supervisor of services does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from chaos.endings import Ending
from chaos.nursery import Child, Nursery
from schemas.settings import Settings

ROOT = Path(__file__).resolve().parent.parent
#: Of Debian's package libfaketime, for whatever processor.
FAKETIME = "*/faketime/libfaketime.so.1"
RESTART_S = 1.0
END_S = 40.0
ABORT_S = 5.0


def faketime() -> Path | None:
    """The library by which the clock of one process can be moved and no other; None where it is not installed."""
    return next(Path("/usr/lib").glob(FAKETIME), None)


class Place:
    """Where the worker of one number runs, round after round: its clock, and the nursery that it is forked from."""

    def __init__(self, number: int, directory: Path, *, cold: bool) -> None:
        self.number = number
        self._clock = directory / f"worker-{number}.clock"
        self._environment: dict[str, str] = {}
        library = faketime()
        if library is not None:
            self._environment = {
                "LD_PRELOAD": str(library),
                "FAKETIME_TIMESTAMP_FILE": str(self._clock),
                "FAKETIME_CACHE_DURATION": "1",
                # A machine's clock is set, but the time since its start goes on.
                "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            }
        self.jump(0)
        self._nursery = None if cold else Nursery(self._environment, directory / f"nursery-{number}.log")

    def jump(self, seconds: int) -> None:
        """The wall clock of what runs here is off by so much from now on."""
        self._clock.write_text(f"{seconds:+d}")

    def start(self, settings: Settings, log: Path) -> subprocess.Popen[bytes] | Child:
        """A worker."""
        if self._nursery is not None:
            return self._nursery.fork(environment(settings), log)
        with log.open("ab") as output:
            return subprocess.Popen(
                [sys.executable, "-X", "faulthandler", "-m", "cli", "worker"],
                cwd=ROOT,
                env={**os.environ, **self._environment, **environment(settings)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def close(self) -> None:
        """No worker runs here any more."""
        if self._nursery is not None:
            self._nursery.close()


class WorkerProcess:
    """One worker, which is kept running until it is told to end for good."""

    def __init__(self, place: Place, settings: Settings, directory: Path) -> None:
        self.number = place.number
        self.log = directory / f"worker-{place.number}.log"
        self._place, self._settings = place, settings
        self._process: subprocess.Popen[bytes] | Child | None = None
        self._lock = threading.Lock()
        self._wanted = False
        self._not_before = 0.0
        self.starts = 0
        self._log_began = 0
        self.ended_by_itself: list[Ending] = []
        """Ends that nobody asked for."""

    def run(self) -> None:
        """Start it, and have `tend` start it again."""
        with self._lock:
            self._wanted = True
            self._start()

    def tend(self) -> None:
        """Start it again if it has ended; to be called often."""
        with self._lock:
            if not self._wanted or time.monotonic() < self._not_before:
                return
            code = None if self._process is None else self._process.poll()
            if self._process is None or code is not None:
                if code is not None:
                    self.ended_by_itself.append(self._ending(code))
                    self._process = None
                    self._not_before = time.monotonic() + RESTART_S
                else:
                    self._start()

    def kill(self, away_s: float) -> None:
        """kill -9, and no start before so many seconds have passed."""
        self._take_down(signal.SIGKILL, away_s)

    def end(self, away_s: float) -> int:
        """SIGTERM; returns the exit code, which is that of SIGKILL where it did not end in time."""
        return self._take_down(signal.SIGTERM, away_s)

    def pause(self) -> None:
        """SIGSTOP."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        self._signal(signal.SIGCONT)

    def jump(self, seconds: int) -> None:
        """Set its wall clock off by so much from now on."""
        self._place.jump(seconds)

    def finish(self) -> Ending:
        """End it for good."""
        with self._lock:
            self._wanted = False
        return self._ending(self._take_down(signal.SIGTERM, 0.0))

    def _take_down(self, how: signal.Signals, away_s: float) -> int:
        with self._lock:
            process, self._process = self._process, None
            self._not_before = time.monotonic() + away_s
        if process is None:
            return 0
        if (code := process.poll()) is not None:
            return code
        process.send_signal(how)
        process.send_signal(signal.SIGCONT)  # one that stands still does not hear
        try:
            return process.wait(END_S)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGABRT)  # it says where it hangs, in its log
            try:
                return process.wait(ABORT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                return process.wait()

    def _signal(self, number: signal.Signals) -> None:
        with self._lock:
            if self._process is not None and self._process.poll() is None:
                self._process.send_signal(number)

    def _ending(self, code: int) -> Ending:
        with suppress(FileNotFoundError):  # it never began
            return Ending(code, self.log.read_bytes()[self._log_began :].decode(errors="replace"))
        return Ending(code, "")

    def _start(self) -> None:
        self.starts += 1
        self._log_began = self.log.stat().st_size if self.log.exists() else 0
        self._process = self._place.start(self._settings, self.log)


def environment(settings: Settings) -> Mapping[str, str]:
    """The settings as the environment variables that a worker reads."""
    flat: dict[str, str] = {}
    for name, value in settings.model_dump(mode="json", exclude_none=True).items():
        if isinstance(value, dict):
            flat |= {f"HOTSPOT_{name}__{inner}".upper(): _text(given) for inner, given in value.items()}
        else:
            flat[f"HOTSPOT_{name}".upper()] = ",".join(value) if name == "regions" else _text(value)
    return flat


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
