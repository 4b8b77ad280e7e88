"""The table behind the state of regions, whose writes can be waited for."""

from __future__ import annotations

import asyncio
from typing import Any

import faust


class StateTable(faust.Table):  # type: ignore[misc]  # faust is untyped here
    """A Faust table that knows which of its writes the broker has not acknowledged.

    Faust's own flush returns after a tenth of a second in which nothing was sent, whatever still waits, and does not
    know of a message that is on its way from one queue to the next: an alert could go out, and an offset be committed,
    before the state that they rest on.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._sent: list[asyncio.Future[Any]] = []

    def send_changelog(self, *args: Any, **kwargs: Any) -> Any:
        """Send a write to the changelog, as Faust does, and remember it."""
        sent = super().send_changelog(*args, **kwargs)
        self._sent.append(sent)
        return sent

    async def written(self) -> None:
        """Return when the broker has everything that was written up to now.

        Raises aiokafka's KafkaError where it does not take a write; then the state is not what the table holds.
        """
        sent, self._sent = self._sent, []
        await asyncio.gather(*sent)
