"""How the command line logs: one line a fact on standard error, never a personal datum."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "service": "hotspot",
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line)


def structured_logs() -> None:
    """For services: JSON lines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonLines())
    logging.basicConfig(handlers=[handler], level=logging.INFO)
    logging.getLogger("aiokafka").setLevel(logging.WARNING)


def quiet_logs() -> None:
    """For commands that a person watches: what goes wrong, and nothing else."""
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    # The consumer in streams.fetch is Faust's, but logs under our name.
    for noisy in ("faust", "mode", "aiokafka", "streams.fetch"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
