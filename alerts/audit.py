"""The chain of the audit trail, and the events that go into it: pure, for every part that does or shows something."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from schemas.alert import AlertEvent
from schemas.audit import (
    NOTHING_BEFORE,
    AuditAction,
    AuditEntry,
    AuditEvent,
    AuditSubject,
    ChainHead,
    SubjectKind,
)
from schemas.feedback import Feedback

#: The account under which the agents themselves act.
SERVICE = "hotspot-worker"


@dataclass(frozen=True, slots=True)
class Chain:
    """How far the chain of one writer has come."""

    writer: str
    head: ChainHead | None = None

    def link(self, event: AuditEvent, written_at: datetime, heads: Iterable[ChainHead] = ()) -> AuditEntry:
        """The next entry. `heads` are those of other chains; this chain's own is left out."""
        head = self.head
        named = {other.writer: other for other in heads if other.writer != self.writer}
        unhashed = AuditEntry(
            writer=self.writer,
            number=head.number + 1 if head else 1,
            written_at=written_at,
            previous=head.hash if head else NOTHING_BEFORE,
            previous_at=head.written_at if head else None,
            heads=tuple(named[writer] for writer in sorted(named)),
            event=event,
            hash=NOTHING_BEFORE,
        )
        return unhashed.model_copy(update={"hash": content_hash(unhashed)})

    def after(self, entry: AuditEntry) -> Chain:
        """The chain once this entry is in the trail."""
        return Chain(self.writer, entry.head)


def content_hash(entry: AuditEntry) -> str:
    """SHA-256 of the canonical JSON of all fields but the hash itself, in hexadecimal."""
    return hashlib.sha256(_canonical(entry.model_dump(mode="json", exclude={"hash"}))).hexdigest()


def entry_bytes(entry: AuditEntry) -> bytes:
    """The entry as it is written: the same bytes every time."""
    return _canonical(entry.model_dump(mode="json"))


def _canonical(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def latest_heads(entries: Iterable[AuditEntry]) -> tuple[ChainHead, ...]:
    """How far each chain has come, in order of the writers."""
    found: dict[str, ChainHead] = {}
    for entry in entries:
        if entry.writer not in found or entry.number > found[entry.writer].number:
            found[entry.writer] = entry.head
    return tuple(found[writer] for writer in sorted(found))


# --- what happens -----------------------------------------------------------------------------------------------------


def said_by(feedback: Feedback) -> AuditEvent:
    """A person said something about an episode, and the region takes it in."""
    return AuditEvent(
        event_id=f"feedback/{feedback.region}/{feedback.feedback_id}",
        at=feedback.at,
        actor=feedback.actor,
        action=AuditAction.ALTERATION,
        subject=AuditSubject(kind=SubjectKind.EPISODE, id=feedback.episode_id),
        why=feedback.said.action,
    )


def delivered(alert: AlertEvent, recipient: str, at: datetime, *, actor: str = SERVICE) -> AuditEvent:
    """A revision of an alert goes to a topic, a sink or an audience: `topic/hotspot.alerts`, `sink/teams-licensing`.

    The same revision to the same recipient is the same event, however often it is sent.
    """
    return AuditEvent(
        event_id=f"alert/{alert.id}/{recipient}",
        at=at,
        actor=actor,
        action=AuditAction.DISCLOSURE,
        subject=AuditSubject(kind=SubjectKind.ALERT, id=alert.id),
        why=alert.data.reason.value,
        recipient=recipient,
    )


def handed_out(subject: AuditSubject, recipient: str, why: str, at: datetime, *, actor: str, nonce: str) -> AuditEvent:
    """A person takes something out of the system: an export, a briefing. `nonce` tells one time from another."""
    return AuditEvent(
        event_id=f"out/{nonce}/{subject.kind.value}/{subject.id}",
        at=at,
        actor=actor,
        action=AuditAction.DISCLOSURE,
        subject=subject,
        why=why,
        recipient=recipient,
    )


def viewed(subject: AuditSubject, why: str, at: datetime, *, actor: str, nonce: str) -> AuditEvent:
    """A person looks at something, in a console or on a terminal. `nonce` tells one time from another."""
    return AuditEvent(
        event_id=f"view/{nonce}/{subject.kind.value}/{subject.id}",
        at=at,
        actor=actor,
        action=AuditAction.CONSULTATION,
        subject=subject,
        why=why,
    )
