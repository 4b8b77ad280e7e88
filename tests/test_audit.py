"""The audit trail: whatever is changed, removed, put in or moved is found, and what is whole is said to be whole."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from alerts.audit import Chain, content_hash, delivered, entry_bytes, handed_out, latest_heads, said_by, viewed
from alerts.audit_verify import Placed, Verdict, verify, verify_export
from schemas.alert import alert_event
from schemas.audit import KEPT, AuditAction, AuditEntry, AuditEvent, AuditSubject, ChainHead, SubjectKind
from schemas.feedback import Acknowledge, Feedback
from streams.audit import AuditTrail, entries_of
from tests.builders import NOW, FakeClock, alert

EPISODE = AuditSubject(kind=SubjectKind.EPISODE, id="hampshire-20260301T120000Z-0a1b2c3d")
TRAIL = AuditSubject(kind=SubjectKind.TRAIL, id="hotspot.audit")
END = NOW + timedelta(days=30)


def look(number: int, actor: str = "j.smith") -> AuditEvent:
    """Somebody looks at an episode."""
    return viewed(EPISODE, "meeting", NOW + timedelta(minutes=number), actor=actor, nonce=f"n{number}")


def chains(lengths: Sequence[int]) -> list[AuditEntry]:
    """Chains of several writers, written in turn; the first entry of each, and every fourth, names the others."""
    written: list[AuditEntry] = []
    held = {f"worker-{number}": Chain(f"worker-{number}") for number in range(len(lengths))}
    for step in range(max(lengths)):
        for number, (writer, chain) in enumerate(held.items()):
            if step < lengths[number]:
                heads = latest_heads(written) if step % 4 == 0 else ()
                entry = chain.link(look(len(written)), NOW + timedelta(minutes=len(written)), heads)
                written.append(entry)
                held[writer] = chain.after(entry)
    return written


def exported(entries: Sequence[AuditEntry]) -> list[bytes]:
    """As `hotspot audit export` writes them."""
    event = handed_out(TRAIL, "account/j.smith", "inspection", END, actor="j.smith", nonce="e1")
    seal = Chain("export-1").link(event, END, latest_heads(entries))
    return [entry_bytes(entry) for entry in sorted(entries, key=lambda entry: (entry.writer, entry.number))] + [
        entry_bytes(seal)
    ]


def judged(lines: Sequence[bytes]) -> Verdict:
    """What is said of a file of these lines."""
    return verify_export([Placed(f"line {number}", "file", line) for number, line in enumerate(lines, 1)])


def on_topic(entries: Sequence[AuditEntry], recorded: Sequence[ChainHead] = ()) -> Verdict:
    """What is said of a topic that holds these entries."""
    placed = [
        Placed(f"offset {offset} of partition 0", "0", entry_bytes(entry), entry.event.actor.encode())
        for offset, entry in enumerate(entries)
    ]
    return verify(placed, END, recorded)


LENGTHS = st.lists(st.integers(1, 9), min_size=1, max_size=4)


# --- a whole trail ----------------------------------------------------------------------------------------------------


@given(LENGTHS)
@settings(deadline=None)
def test_what_was_not_touched_is_whole(lengths: list[int]) -> None:
    entries = chains(lengths)
    assert on_topic(entries).broken == []
    assert on_topic(entries).heads == latest_heads(entries)
    assert judged(exported(entries)).broken == []


@given(LENGTHS, st.data())
@settings(deadline=None)
def test_entries_sent_again_are_counted_and_are_no_fault(lengths: list[int], data: st.DataObject) -> None:
    entries = chains(lengths)
    at = data.draw(st.integers(0, len(entries) - 1))
    verdict = on_topic([*entries[: at + 1], entries[at], *entries[at + 1 :]])
    assert (verdict.broken, verdict.repeats, verdict.entries) == ([], 1, len(entries))


def test_an_empty_trail_is_whole_until_heads_were_recorded() -> None:
    assert on_topic([]).broken == []
    head = chains([3])[-1].head
    assert on_topic([], [head]).broken == [
        "Entries 1 to 3 of worker-0 are missing at the end of its chain: the heads that were recorded named it."
    ]


# --- any one thing done to it -----------------------------------------------------------------------------------------


@given(LENGTHS, st.data())
@settings(deadline=None, max_examples=300)
def test_any_changed_byte_is_found(lengths: list[int], data: st.DataObject) -> None:
    lines = exported(chains(lengths))
    at = data.draw(st.integers(0, len(lines) - 1))
    byte = data.draw(st.integers(0, len(lines[at]) - 1))
    other = data.draw(st.integers(0, 255).filter(lambda value: value != lines[at][byte]))
    lines[at] = lines[at][:byte] + bytes([other]) + lines[at][byte + 1 :]
    assert judged(lines).broken


@given(LENGTHS, st.data())
@settings(deadline=None)
def test_any_removed_entry_is_found(lengths: list[int], data: st.DataObject) -> None:
    lines = exported(chains(lengths))
    del lines[data.draw(st.integers(0, len(lines) - 1))]
    assert judged(lines).broken


@given(LENGTHS, st.data())
@settings(deadline=None)
def test_any_two_entries_that_are_swapped_are_found(lengths: list[int], data: st.DataObject) -> None:
    lines = exported(chains(lengths))
    one, two = data.draw(st.lists(st.integers(0, len(lines) - 1), min_size=2, max_size=2, unique=True))
    lines[one], lines[two] = lines[two], lines[one]
    assert judged(lines).broken


@given(LENGTHS, st.data())
@settings(deadline=None)
def test_an_entry_that_is_put_in_is_found(lengths: list[int], data: st.DataObject) -> None:
    """Even one that follows by its hash on the end of a chain, begins a chain of its own, or is there already."""
    entries = chains(lengths)
    lines = exported(entries)
    head = data.draw(st.sampled_from([None, *latest_heads(entries)]))
    forged = Chain(head.writer if head else "worker-9", head).link(look(999), END)
    line = data.draw(st.sampled_from([entry_bytes(forged), *lines]))
    lines.insert(data.draw(st.integers(0, len(lines))), line)
    assert judged(lines).broken


@given(LENGTHS, st.data())
@settings(deadline=None)
def test_a_change_with_its_hash_made_again_breaks_the_links_to_it(lengths: list[int], data: st.DataObject) -> None:
    lines = exported(chains(lengths))
    at = data.draw(st.integers(0, len(lines) - 2))
    entry = AuditEntry.model_validate_json(lines[at])
    other = entry.model_copy(update={"event": entry.event.model_copy(update={"actor": "somebody.else"})})
    lines[at] = entry_bytes(other.model_copy(update={"hash": content_hash(other)}))
    assert judged(lines).broken


# --- on the topic, where there is no last line ------------------------------------------------------------------------


@given(LENGTHS, st.data())
@settings(deadline=None)
def test_what_is_removed_from_the_topic_is_found_but_for_ends_that_nobody_named(
    lengths: list[int], data: st.DataObject
) -> None:
    entries = chains(lengths)
    gone = data.draw(st.integers(0, len(entries) - 1))
    left = entries[:gone] + entries[gone + 1 :]
    named = {(head.writer, head.number) for entry in left for head in entry.heads}
    followed = {(entry.writer, entry.number - 1) for entry in left}
    lost = (entries[gone].writer, entries[gone].number)
    assert bool(on_topic(left).broken) == (lost in named or lost in followed)
    assert on_topic(left, latest_heads(entries)).broken


def test_each_fault_has_its_sentence() -> None:
    a, b, c, d = chains([4])
    other = chains([1, 1])[1]
    forged = Chain("worker-0", a.head).link(look(77), NOW)
    changed = b.model_copy(update={"event": look(5)})
    first, second = "Entry 1 of worker-0 (offset 0 of partition 0)", "Entry 2 of worker-0 (offset 1 of partition 0)"
    assert on_topic([a, changed, c, d]).broken == [f"{second} was changed: its hash is not that of its content."]
    assert on_topic([a, c, d]).broken == [
        "Entry 2 of worker-0 is missing, before Entry 3 of worker-0 (offset 1 of partition 0)."
    ]
    assert on_topic([a, d]).broken == [
        "Entries 2 to 3 of worker-0 are missing, before Entry 4 of worker-0 (offset 1 of partition 0)."
    ]
    assert on_topic([a, c, b, d]).broken == [
        "Entry 2 of worker-0 (offset 2 of partition 0) stands after "
        "Entry 3 of worker-0 (offset 1 of partition 0), out of order."
    ]
    assert on_topic([a, forged, b, c, d]).broken == [
        "worker-0 has 2 different entries 2 (offset 1 of partition 0 and offset 2 of partition 0)."
    ]
    assert on_topic([a, forged, c, d]).broken == [
        f"Entry 3 of worker-0 (offset 2 of partition 0) does not follow on {second}."
    ]
    assert on_topic([other]).broken == [
        "Entry 1 of worker-0 is missing at the end of its chain: "
        "Entry 1 of worker-1 (offset 0 of partition 0) named it."
    ]
    wrong_key = Placed("offset 0 of partition 0", "0", entry_bytes(a), b"somebody.else")
    assert verify([wrong_key], END).broken == [f"{first} was sent under another key than its actor."]
    spaced = Placed("offset 0 of partition 0", "0", entry_bytes(a).replace(b",", b", ", 1), b"j.smith")
    assert verify([spaced], END).broken == [
        f"{first} is not written as it was: its content is the same, its bytes are not."
    ]
    noise = Placed("offset 0 of partition 0", "0", b"{}", b"j.smith")
    assert verify([noise], END).broken == ["What lies at offset 0 of partition 0 is not an entry of the trail."]
    assert judged(exported([a, b])[:-1]).broken == [
        "The file does not end with the entry of its own export: its end is missing or changed."
    ]


def test_what_is_older_than_the_trail_is_kept_may_be_gone() -> None:
    entries = chains([6])
    placed = [Placed(str(number), "0", entry_bytes(entry)) for number, entry in enumerate(entries[3:])]
    assert verify(placed, NOW + KEPT).broken == [
        "Entries 1 to 3 of worker-0 are missing, before Entry 4 of worker-0 (0)."
    ]
    later = verify(placed, entries[3].written_at + KEPT)
    assert (later.broken, later.no_longer_kept) == ([], 3)


# --- writing it -------------------------------------------------------------------------------------------------------


class Topic:
    """Keeps what is sent; now and then takes a message and does not answer."""

    def __init__(self, fails: Callable[[int], str] = lambda _: "") -> None:
        self.placed: list[Placed] = []
        self._fails, self._sent = fails, 0

    async def send(self, topic: str, key: bytes | None, value: bytes, headers: Any = ()) -> Awaitable[Any]:
        """As the producer of a worker does it."""
        assert topic == "hotspot.audit"
        self._sent += 1
        how = self._fails(self._sent)
        if how != "refused":
            self.placed.append(Placed(f"offset {len(self.placed)}", "0", value, key))
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if how:
            answer.set_exception(OSError(how))
        else:
            answer.set_result(None)
        return answer

    def heads(self) -> Sequence[ChainHead]:
        """As they are read back."""
        return latest_heads(entries_of(self.placed))


@given(st.lists(st.sampled_from(["", "", "refused", "no answer"]), max_size=20))
@settings(deadline=None)
def test_a_broker_that_refuses_or_does_not_answer_leaves_a_whole_trail(fates: list[str]) -> None:
    topic = Topic(lambda number: fates[number - 1] if number <= len(fates) else "")
    clock = FakeClock()
    trail = AuditTrail("worker", "hotspot.audit", topic.send, topic.heads, clock)

    async def work() -> None:
        for number in range(12):
            while True:
                clock.advance(seconds=1)
                try:
                    await trail.record(look(number))
                except OSError:
                    continue
                break

    asyncio.run(work())
    verdict = verify(topic.placed, clock.now)
    assert verdict.broken == []
    assert {entry.event.event_id for entry in entries_of(topic.placed)} == {look(n).event_id for n in range(12)}


async def test_events_recorded_at_once_make_one_chain_and_two_processes_name_each_other() -> None:
    topic, clock = Topic(), FakeClock()
    one, two = (AuditTrail("worker", "hotspot.audit", topic.send, topic.heads, clock) for _ in range(2))
    await asyncio.gather(*(one.record(look(number), look(100 + number)) for number in range(5)))
    await two.record(look(50))
    clock.advance(days=2)
    await one.record(look(51))
    await asyncio.sleep(0.2)  # no entry waits for the heads to be read
    await one.record(look(52))
    entries = entries_of(topic.placed)
    assert verify(topic.placed, clock.now).broken == []
    assert [entry.number for entry in entries] == [*range(1, 11), 1, 11, 12]
    assert entries[10].heads == (entries[9].head,)
    named = [entry.heads for entry in entries[11:]]
    assert (entries[10].head,) in named, "after a day it names the others again"


# --- what may be in it ------------------------------------------------------------------------------------------------


def test_what_people_say_and_what_is_delivered_are_events_of_their_own_ids() -> None:
    feedback = Feedback(
        feedback_id="f-1", region="hampshire", episode_id=EPISODE.id, at=NOW, actor="j.smith", said=Acknowledge()
    )
    said = said_by(feedback)
    assert (said.actor, said.action, said.subject, said.why) == (
        "j.smith",
        AuditAction.ALTERATION,
        EPISODE,
        "acknowledge",
    )
    event = alert_event(alert())
    sent = delivered(event, "sink/teams-licensing", NOW)
    assert (sent.action, sent.subject.id, sent.why, sent.recipient) == (
        AuditAction.DISCLOSURE,
        event.id,
        "opened",
        "sink/teams-licensing",
    )
    assert delivered(event, "sink/teams-licensing", END).event_id == sent.event_id
    assert delivered(event, "topic/hotspot.alerts", NOW).event_id != sent.event_id


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("actor", "John Smith of 4 High Street"),
        ("why", "he told me so"),
        ("why", ""),
        ("event_id", "Ann Other"),
        ("recipient", "to my friend"),
        ("subject", {"kind": "episode", "id": "Ann Other"}),
        ("subject", {"kind": "person", "id": "1"}),
        ("note", "free text"),
    ],
)
def test_there_is_no_room_for_free_text(field: str, value: object) -> None:
    good = handed_out(EPISODE, "audience/partnership", "meeting", NOW, actor="j.smith", nonce="1").model_dump(
        mode="json"
    )
    assert AuditEvent.model_validate(good)
    with pytest.raises(ValidationError):
        AuditEvent.model_validate({**good, field: value})


def test_a_disclosure_names_to_whom_and_nothing_else_does() -> None:
    view, out = look(1), delivered(alert_event(alert()), "topic/hotspot.alerts", NOW)
    with pytest.raises(ValidationError):
        AuditEvent.model_validate({**view.model_dump(), "recipient": "account/x"})
    with pytest.raises(ValidationError):
        AuditEvent.model_validate({**out.model_dump(), "recipient": None})
