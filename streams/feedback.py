"""What people say about episodes, from its topic into the order of the located topic of its region."""

from __future__ import annotations

from collections.abc import Collection

from confluent_kafka import KafkaException, Producer
from pydantic import ValidationError

from schemas.feedback import Feedback, FeedbackEvent, feedback_event
from schemas.reasons import RejectReason
from schemas.settings import Settings
from streams.codec import Rejected, rejected
from streams.topics import Topics


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


def send_feedback(settings: Settings, feedback: Feedback, *, timeout_s: float = 10.0) -> None:
    """Put what somebody said on its topic; back when the broker has it. Raises KafkaException."""
    failures: list[KafkaException] = []
    producer = Producer(
        {"bootstrap.servers": settings.bootstrap, "acks": "all", "message.timeout.ms": int(timeout_s * 1000)}
    )
    value = feedback_event(feedback).model_dump_json().encode()
    producer.produce(
        Topics(settings.prefix).feedback,
        value,
        feedback.region.encode(),
        on_delivery=lambda error, _: failures.append(KafkaException(error)) if error is not None else None,
    )
    producer.flush(timeout_s + 1)
    if failures:
        raise failures[0]
