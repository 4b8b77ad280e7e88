"""What adapters send, and how they fail."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol, runtime_checkable

from schemas.delivery import Failure
from schemas.disclosure import Disclosed


@dataclass(frozen=True, slots=True)
class Parcel:
    """One revision for one receiver."""

    told: Disclosed
    earlier: tuple[tuple[int, datetime], ...] = ()
    """Revisions that this receiver was told before, with the `as_of` of each."""


class DeliveryError(Exception):
    """An attempt failed. The message holds nothing of the parcel, of the address, or of the answer."""

    def __init__(self, failure: Failure, wait_s: float = 0.0) -> None:
        super().__init__(failure.value)
        self.failure = failure
        self.wait_s = wait_s
        """The receiver asks not to be tried before, seconds."""


class Adapter(Protocol):
    """Sends by one kind of sink."""

    @property
    def receiver(self) -> str:
        """To whom, for logs and audit: never a secret, never a person."""

    async def send(self, parcel: Parcel) -> None:
        """One attempt. Returns when the receiver has taken it. Raises DeliveryError."""


@runtime_checkable
class DigestAdapter(Adapter, Protocol):
    """Can also send many in one."""

    async def send_digest(self, parcels: Sequence[Parcel], slot: datetime) -> None:
        """One attempt for one meeting. Raises DeliveryError."""


@runtime_checkable
class KeepingAdapter(Adapter, Protocol):
    """Keeps the newest of what it was told where others read it, and must have all of it again where that was lost."""

    kept: timedelta
    """An episode that has been over for longer need not be there."""

    async def is_whole(self) -> bool:
        """Whether nothing of what it was told is missing. Raises DeliveryError while that cannot be seen."""

    async def fill(self, told: Sequence[Disclosed]) -> None:
        """Begin anew with these, one an episode. Raises DeliveryError."""
