"""Why workers ended, as their exit codes and logs tell it; and which ends of their own accord are no defect."""

from __future__ import annotations

import json
import re
import signal
from typing import Final, NamedTuple

#: How those end that had to be killed.
KILLED: Final = (-signal.SIGABRT, -signal.SIGKILL)
#: What a worker logs that did not stop within its deadline.
LATE: Final = "worker had not stopped after"
#: A line that says that a worker cannot go on.
GRAVE: Final = re.compile(r'"level": "critical"|^Fatal Python error')
#: For what a worker may give up, to be started again: what it had in hand is another's by then, or no broker takes it.
EXPECTED: Final = {
    "session lost": re.compile("did not hear of this one for longer than its session"),
    "no broker": re.compile(
        "Kafka does not answer as it should|client of Kafka did not come back|KafkaConnectionError|NodeNotReadyError"
        "|RequestTimedOutError|KafkaTimeoutError"
    ),
    # aiokafka's sender ends by an error of its own where a connection breaks at the wrong moment, and sends no more.
    "producer ended": re.compile("Unexpected error during batch delivery"),
}


class Ending(NamedTuple):
    """How a worker ended."""

    code: int
    log: str
    """What it logged since it was started."""

    @property
    def is_orderly(self) -> bool:
        """Whether it was told to end, and did. One that was only just started ends by the signal itself."""
        return self.code in (0, -signal.SIGTERM)

    @property
    def is_late(self) -> bool:
        """Whether it did not stop in time, or not at all."""
        return self.code in KILLED or LATE in self.log

    @property
    def cause(self) -> str | None:
        """The name of what it is expected to give up for; None where it ended for something else."""
        words = self.words
        return next((name for name, pattern in EXPECTED.items() if pattern.search(words)), None)

    @property
    def words(self) -> str:
        """The line that may say why it ended: the last grave one, or the last."""
        lines = [line for line in self.log.splitlines() if line.strip()]
        grave = next((line for line in reversed(lines) if GRAVE.search(line)), lines[-1] if lines else "")
        try:
            message: str = json.loads(grave)["message"]
        except (ValueError, LookupError, TypeError):
            return grave
        return message
