"""Starts workers by forking a process that has loaded the program and compiled its kernels: a moment, not ten seconds.

What runs in the child is the command `hotspot worker`, in a process of its own with its own environment. The nursery
itself (`python -m chaos.nursery`) reads requests as lines of JSON and answers with the ids and ends of its children.
"""

from __future__ import annotations

import faulthandler
import json
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

ROOT = Path(__file__).resolve().parent.parent
#: Where nothing is compiled yet and the machine is busy, all of that comes first.
START_S = 900.0


class Child:
    """A forked worker, with as much of the interface of `subprocess.Popen` as is needed here."""

    def __init__(self, pid: int, nursery: Nursery) -> None:
        self.pid = pid
        self._nursery = nursery

    def poll(self) -> int | None:
        """Exit code, None while it runs."""
        return self._nursery.ended.get(self.pid)

    def wait(self, timeout: float | None = None) -> int:
        """Exit code, once there is one. Raises subprocess.TimeoutExpired."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while (code := self.poll()) is None:
            if deadline is not None and time.monotonic() > deadline:
                raise subprocess.TimeoutExpired("hotspot worker", timeout or 0.0)
            time.sleep(0.02)
        return code

    def send_signal(self, number: int) -> None:
        """Send a signal, if it still runs."""
        if self.poll() is None:
            with suppress(ProcessLookupError):  # it has ended, and the nursery has yet to tell
                os.kill(self.pid, number)

    def kill(self) -> None:
        """kill -9."""
        self.send_signal(9)


class Nursery:
    """The nursery of one worker: its environment holds for all that it forks."""

    def __init__(self, environment: Mapping[str, str], log: Path) -> None:
        self.ended: dict[int, int] = {}
        """Exit codes by process id; minus the signal for those that a signal ended."""
        self._answers: list[int] = []
        self._answered = threading.Condition()
        self._lock = threading.Lock()
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "chaos.nursery"],
                cwd=ROOT,
                env={**os.environ, **environment},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                text=True,
            )
        threading.Thread(target=self._listen, daemon=True).start()

    def fork(self, environment: Mapping[str, str], log: Path) -> Child:
        """A new worker. Raises RuntimeError where the nursery does not answer."""
        with self._lock, self._answered:
            assert self._process.stdin is not None
            print(json.dumps({"environment": dict(environment), "log": str(log)}), file=self._process.stdin, flush=True)
            if not self._answered.wait_for(lambda: self._answers, START_S):
                raise RuntimeError("the nursery of workers does not answer")
            return Child(self._answers.pop(), self)

    def close(self) -> None:
        """End it, and with it nothing else: its children have ended by then."""
        self._process.terminate()
        self._process.wait()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            told: dict[str, Any] = json.loads(line)
            with self._answered:
                if "started" in told:
                    self._answers.append(told["started"])
                else:
                    self.ended[told["ended"]] = told["code"]
                self._answered.notify_all()


def main() -> None:
    """Load and compile all, then fork on request until nobody asks any more."""
    from cli import main as commands  # here, as these take long
    from processors.warm import warm_up

    warm_up()
    while True:
        ready, _, _ = select.select([0], [], [], 0.05)
        if ready:
            line = _line()
            if not line:
                return
            asked = json.loads(line)
            pid = os.fork()
            if not pid:
                _become_worker(commands.main, asked)
            _tell({"started": pid})
        _reap()


def _reap() -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not pid:
            return
        _tell({"ended": pid, "code": os.waitstatus_to_exitcode(status)})


def _line() -> bytes:
    """One line, byte by byte: a buffer would hide the next line from select."""
    line = b""
    while not line.endswith(b"\n"):
        byte = os.read(0, 1)
        if not byte:
            return b""
        line += byte
    return line


def _tell(what: dict[str, int]) -> None:
    os.write(1, json.dumps(what).encode() + b"\n")


def _become_worker(command: Any, asked: dict[str, Any]) -> NoReturn:
    code = 1
    try:
        log = os.open(asked["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.dup2(log, 1)
        os.dup2(log, 2)
        faulthandler.enable(log)
        os.environ.update(asked["environment"])
        sys.argv = ["hotspot", "worker"]
        command()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    main()
