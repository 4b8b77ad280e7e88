"""Quix Streams that parses JSON and counts records per cell in tumbling windows; runs in build/quix, without our code.

`python quix_count.py BOOTSTRAP TOPIC RECORDS` prints one line of JSON: records and seconds, first to last message. The
topic has the cell as key, so that no repartitioning is asked of Quix; its settings are its defaults.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from datetime import timedelta
from typing import Any

from quixstreams import Application


def main() -> None:
    """Count so many records of a topic."""
    bootstrap, topic, text = sys.argv[1:]
    records = int(text)
    began = 0.0
    counted = 0
    with tempfile.TemporaryDirectory() as folder:
        app = Application(
            broker_address=bootstrap,
            consumer_group=f"quix-{time.time_ns()}",
            auto_offset_reset="earliest",
            state_dir=folder,
            loglevel="ERROR",
        )

        def note(_: Any) -> None:
            nonlocal began, counted
            began = began or time.perf_counter()
            counted += 1
            if counted == records:
                print(json.dumps({"records": records, "seconds": time.perf_counter() - began}), flush=True)
                app.stop()

        stream = app.dataframe(app.topic(topic, key_deserializer="bytes", value_deserializer="json"))
        stream.tumbling_window(timedelta(hours=1)).count().current().update(note)
        app.run()


if __name__ == "__main__":
    main()
