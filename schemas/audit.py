"""The audit trail: who did or saw what, when, why and to whom it went (topic hotspot.audit, key actor)."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from schemas.base import Contract, UtcTime

#: How long the trail is kept: seven years, counted in days so that none is short.
KEPT: Final = timedelta(days=7 * 366)

Account = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,99}$")]
"""Of a person or a service. The only identity in the trail; persons that records are about are never in it."""
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@:/-]{0,199}$")]
"""Without spaces: there is no room for free text."""
Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
"""SHA-256, in hexadecimal."""
Writer = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,79}$")]

#: Stands where the first entry of a chain has the hash of the one before it.
NOTHING_BEFORE: Final = "0" * 64


class AuditAction(StrEnum):
    """What was done, in the words of section 62 of the Data Protection Act 2018."""

    COLLECTION = "collection"
    """Something was taken in."""
    ALTERATION = "alteration"
    """Something that is kept was changed, such as by what a person said about an episode."""
    CONSULTATION = "consultation"
    """Somebody looked at something."""
    DISCLOSURE = "disclosure"
    """Something was sent or given to somebody."""
    COMBINATION = "combination"
    """Things that were apart were put together."""
    ERASURE = "erasure"
    """Something was deleted."""


class SubjectKind(StrEnum):
    """What kind of thing it was done to."""

    ALERT = "alert"
    """One revision: `<episode_id>.<revision>`."""
    EPISODE = "episode"
    """By its id."""
    REGION = "region"
    """Things of a region as a whole, such as a list of its episodes or a map: by its id."""
    FEED = "feed"
    """What a route of kind `feed` shows at the time: by the id of the route."""
    TRAIL = "trail"
    """This trail, by the name of its topic."""


class AuditSubject(Contract):
    """What it was done to."""

    kind: SubjectKind
    id: Name


class AuditEvent(Contract):
    """One thing that happened: who, when, what, why, to whom."""

    event_id: Name
    """The same event recorded again, after a crash for instance, has the same."""
    at: UtcTime
    """When it happened."""
    actor: Account
    action: AuditAction
    subject: AuditSubject
    why: str = Field(pattern=r"^[a-z][a-z0-9_-]{0,79}$")
    """The justification as a word, such as the reason of an alert, or `meeting`."""
    recipient: Name | None = None
    """To whom it was disclosed: `topic/…`, `sink/…`, `audience/…`, `account/…`."""

    @model_validator(mode="after")
    def _names_the_recipient(self) -> Self:
        if (self.action is AuditAction.DISCLOSURE) != (self.recipient is not None):
            raise ValueError("a disclosure, and nothing else, has a recipient")
        return self


class ChainHead(Contract):
    """An entry by which a chain was known to have come so far."""

    writer: Writer
    number: int = Field(ge=1)
    hash: Hash
    written_at: UtcTime


class AuditEntry(Contract):
    """One link of the chain of one writer.

    On the topic and in files it is canonical JSON: keys sorted, no spaces, UTF-8.
    """

    format: Literal[1] = 1
    writer: Writer
    """One process, for as long as it lives; another has another, and so begins a chain of its own."""
    number: int = Field(ge=1)
    """1, 2, 3 … without gaps in the chain of this writer."""
    written_at: UtcTime
    previous: Hash
    """Hash of the entry before it in this chain; zeros for the first."""
    previous_at: UtcTime | None
    """When that was written; None for the first."""
    heads: tuple[ChainHead, ...] = ()
    """How far the chains of other writers had come when this was written, as far as this writer knew: so that their
    ends cannot be cut off unseen. The first entry of each chain names them, and some later ones."""
    event: AuditEvent
    hash: Hash
    """Of the canonical JSON of all other fields."""

    @property
    def head(self) -> ChainHead:
        """The name by which other entries know this one."""
        return ChainHead(writer=self.writer, number=self.number, hash=self.hash, written_at=self.written_at)
