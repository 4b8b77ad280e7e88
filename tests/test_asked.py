"""A clock that is set back holds up the client of the broker for as long; what asks it by ours goes on."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from chaos.workers import faketime
from streams.asked import NoAnswerError, asked
from tests.servers.fixtures import missing

#: Asks a broker that is not there, for two seconds by librdkafka, or for four by our own deadline.
ASKS = """
import asyncio, sys
from confluent_kafka import KafkaException
from schemas.settings import Settings
from streams.asked import NoAnswerError, asked
from streams.topics import partition_counts

def ask():
    print("asks", flush=True)
    partition_counts(Settings(bootstrap="127.0.0.1:1"), timeout_s=2.0)

try:
    asyncio.run(asked(ask, 4.0))
except (KafkaException, NoAnswerError) as error:
    print(type(error).__name__, flush=True)
"""


async def test_what_is_asked_is_answered() -> None:
    assert await asked(lambda: 7) == 7
    with pytest.raises(ValueError, match="refused"):
        await asked(_refuse)


async def test_what_does_not_come_back_is_not_waited_for() -> None:
    released = threading.Event()
    began = time.monotonic()
    with pytest.raises(NoAnswerError, match=r"within 0 s; perhaps the clock was set back\."):
        await asked(released.wait, 0.1)
    assert time.monotonic() - began < 5
    released.set()


@pytest.mark.connected
@pytest.mark.parametrize(
    ("back_s", "told"),
    [(0, "KafkaException"), (86_400, "NoAnswerError")],
    ids=["a clock that goes on", "a clock that is set back by a day"],
)
def test_a_question_ends_though_the_clock_is_set_back(tmp_path: Path, back_s: int, told: str) -> None:
    """Once the second is a KafkaException too, librdkafka waits by another clock, and `asked` is of no use."""
    library = faketime()
    if library is None:
        missing("libfaketime is not here (`make servers` installs it where it may)")
    clock = tmp_path / "clock"
    clock.write_text(f"+{back_s}")
    faked = {
        "LD_PRELOAD": str(library),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    with subprocess.Popen(
        [sys.executable, "-c", ASKS], env={**os.environ, **faked}, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "asks\n"
        time.sleep(0.5)
        clock.write_text("+0")
        said, _ = process.communicate(timeout=30)
    assert said == f"{told}\n"


def _refuse() -> None:
    raise ValueError("refused")
