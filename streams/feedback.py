"""What people say about episodes, from its topic into the order of the located topic of its region."""

from __future__ import annotations

from collections.abc import Collection

from pydantic import ValidationError

from schemas.feedback import FeedbackEvent
from schemas.reasons import RejectReason
from streams.codec import Rejected, rejected


def parse_feedback(raw: bytes | None, regions: Collection[str], max_bytes: int) -> FeedbackEvent | Rejected:
    """One message of the feedback topic, or why it is refused. Total: no input raises."""
    raw = raw or b""
    if len(raw) > max_bytes:
        return Rejected(RejectReason.MESSAGE_TOO_LARGE, f"{len(raw)} bytes; the limit is {max_bytes}.", raw)
    try:
        event = FeedbackEvent.model_validate_json(raw)
    except ValidationError as error:
        return rejected(error, raw)
    if event.data.region not in regions:
        return Rejected(RejectReason.UNKNOWN_SOURCE, "data.region: no region file of this worker has this id.", raw)
    return event
