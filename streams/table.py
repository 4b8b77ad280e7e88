"""The table behind the state of regions: its writes can be waited for, and a standby's copy of it is kept."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, Final

import faust
from faust.stores import memory

#: Events of the changelog that wait to be applied: few, for one of them can have megabytes. (With one, Faust goes on to
#: read after a recovery what this worker itself writes.)
APPLIED_AT_ONCE: Final = 2


class KeptStore(memory.Store):  # type: ignore[misc]  # faust is untyped here
    """A table's content in memory that knows up to which offset of each changelog partition it is complete.

    Faust's own store in memory does not: at each change of the group's members it reads every changelog again from
    its beginning, and what a standby had copied up to then it throws away. The place of a partition moves on with what
    was read of it, and with a write of this worker's own only where nothing lies between: what another worker wrote
    meanwhile is read before the table is used again.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        self._places: dict[Any, int] = {}
        self._of_partition: dict[int, set[bytes]] = {}

    def note(self, partition: int, key: bytes) -> None:
        """A key of this partition is written."""
        self._of_partition.setdefault(partition, set()).add(key)

    def persisted_offset(self, tp: Any) -> int | None:
        """Offset of the last message of a changelog partition of which nothing before it is missing; None for none."""
        return self._places.get(tp)

    def set_persisted_offset(self, tp: Any, offset: int) -> None:
        """A write of this worker's own has this offset."""
        if offset == self._places.get(tp, -1) + 1:
            self._places[tp] = offset

    def apply_changelog_batch(
        self, batch: Iterable[Any], to_key: Callable[[Any], Any], to_value: Callable[[Any], Any]
    ) -> None:
        """Take in what was read of the changelog, in its order."""
        for event in batch:
            message = event.message
            key = to_key(event.key)
            if message.value is None:
                self.data.pop(key, None)
                self._of_partition.get(message.partition, set()).discard(key)
            else:
                self.data[key] = to_value(event.value)
                self.note(message.partition, key)
            self._places[message.tp] = message.offset

    async def on_recovery_completed(self, active_tps: Any, standby_tps: Any) -> None:
        """Forget the partitions that this worker neither works on nor stands by for."""
        kept = {tp.partition for tp in (*active_tps, *standby_tps)}
        for partition in self._of_partition.keys() - kept:
            for key in self._of_partition.pop(partition):
                self.data.pop(key, None)
        self._places = {tp: offset for tp, offset in self._places.items() if tp.partition in kept}


class StateTable(faust.Table):  # type: ignore[misc]  # faust is untyped here
    """A Faust table that knows which of its writes the broker has not acknowledged.

    Faust's own flush returns after a tenth of a second in which nothing was sent, whatever still waits, and does not
    know of a message that is on its way from one queue to the next: an alert could go out, and an offset be committed,
    before the state that they rest on.
    """

    place_of: Callable[[bytes], int]
    """The partition of a key: that of what its region's records come from."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, recovery_buffer_size=APPLIED_AT_ONCE, standby_buffer_size=1, **kwargs)
        self._sent: list[asyncio.Future[Any]] = []

    def _new_store_by_url(self, url: Any) -> KeptStore:
        return KeptStore(
            url,
            self.app,
            self,
            table_name=self.name,
            key_type=self.key_type,
            value_type=self.value_type,
            key_serializer=self.key_serializer,
            value_serializer=self.value_serializer,
            options=self.options,
        )

    def partition_for_key(self, key: bytes) -> int:
        """The partition of a key. Faust would take that of the event in hand, but a step outlives its event."""
        return self.place_of(key)

    def send_changelog(self, partition: int, key: bytes, *args: Any, **kwargs: Any) -> Any:
        """Send a write to the changelog, as Faust does, and remember it."""
        sent = super().send_changelog(partition, key, *args, **kwargs)
        self._sent.append(sent)
        self.data.note(partition, key)
        return sent

    def kept_up_to(self, tp: Any) -> int:
        """The last offset of a changelog partition up to which nothing is missing here; -1 for none."""
        place = self.persisted_offset(tp)
        return -1 if place is None else int(place)

    async def written(self) -> None:
        """Return when the broker has everything that was written up to now.

        Raises aiokafka's KafkaError where it does not take a write; then the state is not what the table holds.
        """
        sent, self._sent = self._sent, []
        await asyncio.gather(*sent)
