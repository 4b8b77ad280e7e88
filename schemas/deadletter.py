"""The dead letter: the original bytes of a refused message, and where and why it was refused, in headers."""

from __future__ import annotations

from pydantic import Field

from schemas.base import Contract, UtcTime
from schemas.reasons import RejectReason


class DeadLetter(Contract):
    """Headers of a message on hotspot.deadletter, each as `hotspot-<name>`; the value is the original, whole."""

    reason: RejectReason
    detail: str = Field(max_length=300)
    """Where in the message and what, in one plain sentence; never the offending text itself."""
    origin_topic: str
    origin_partition: int = Field(ge=0)
    origin_offset: int = Field(ge=0)
    rejected_at: UtcTime

    def headers(self) -> list[tuple[str, bytes]]:
        """As Kafka headers."""
        fields = self.model_dump(mode="json")
        return [(f"hotspot-{name.replace('_', '-')}", str(value).encode()) for name, value in fields.items()]

    @classmethod
    def from_headers(cls, headers: list[tuple[str, bytes]]) -> DeadLetter:
        """Read back what `headers` wrote; headers of others are passed over."""
        prefix = "hotspot-"
        ours = {
            name.removeprefix(prefix).replace("-", "_"): value.decode()
            for name, value in headers
            if name.startswith(prefix)
        }
        known = {name: value for name, value in ours.items() if name in cls.model_fields}
        return cls.model_validate(known)
