"""Whether the audit trail is whole: each change, removal, insertion and swap that the chains show, as a sentence."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise

from pydantic import ValidationError

from alerts.audit import content_hash, entry_bytes, latest_heads
from schemas.audit import KEPT, NOTHING_BEFORE, AuditAction, AuditEntry, ChainHead, SubjectKind


@dataclass(frozen=True, slots=True)
class Placed:
    """What lies at one place of the trail."""

    where: str
    """For people: `offset 12 of partition 0`, `line 7`."""
    lane: str
    """A partition or a file: within one, the entries of a writer stand in order."""
    raw: bytes
    key: bytes | None = None
    """Of the message; None in a file."""


@dataclass(slots=True)
class Verdict:
    """What was found."""

    entries: int = 0
    """Different ones."""
    repeats: int = 0
    """Entries that are there once more, byte for byte: sent again when an answer of the broker was lost."""
    no_longer_kept: int = 0
    """Entries known to be gone because they were older than the trail is kept."""
    heads: tuple[ChainHead, ...] = ()
    broken: list[str] = field(default_factory=list)
    """A plain sentence for each broken link; empty for a trail that is whole."""


@dataclass(frozen=True, slots=True)
class _Known:
    entry: AuditEntry
    where: str


#: Writer to number to the different entries that claim it.
_Chains = Mapping[str, Mapping[int, Sequence[_Known]]]


def verify(placed: Iterable[Placed], now: datetime, recorded: Sequence[ChainHead] = ()) -> Verdict:
    """Check what was read from the topic.

    `recorded` are heads that were written down elsewhere before. What is older than the trail is kept may be gone.
    What cannot be seen: the end of a chain that nobody has named yet, cut off cleanly.
    """
    verdict, chains, _ = _read(placed)
    _check(verdict, chains, now, recorded)
    return verdict


def verify_export(placed: Sequence[Placed], recorded: Sequence[ChainHead] = ()) -> Verdict:
    """Check a file of `hotspot audit export`, which holds each entry once, in order, and its own entry last.

    That last entry names how far every chain in the file has come; so nothing can be cut from it unseen.
    """
    verdict, chains, entries = _read(placed)
    if verdict.repeats:
        verdict.broken.append(f"{_count(verdict.repeats)} more than once in the file; an export holds each once.")
    seal = entries[-1] if entries else None
    if seal is None or not _seals(seal.entry):
        verdict.broken.append("The file does not end with the entry of its own export: its end is missing or changed.")
        _check(verdict, chains, max((known.entry.written_at for known in entries), default=None), recorded)
        return verdict
    rest = [known.entry for known in entries[:-1]]
    _check(verdict, chains, seal.entry.written_at, recorded)
    for earlier, later in pairwise(entries[:-1]):
        if later.entry.writer < earlier.entry.writer:
            verdict.broken.append(f"{_name(later)} stands after {_name(earlier)}, out of order.")
    named = {head.writer: head.number for head in seal.entry.heads}
    for head in latest_heads(rest):
        if head.number > named.get(head.writer, 0):
            verdict.broken.append(
                f"Entry {head.number} of {head.writer} is in the file, but the export ended that chain at "
                f"{named.get(head.writer, 0)}: it was put in later."
            )
    return verdict


# --- reading ----------------------------------------------------------------------------------------------------------


def _read(placed: Iterable[Placed]) -> tuple[Verdict, _Chains, list[_Known]]:
    verdict = Verdict()
    chains: dict[str, dict[int, list[_Known]]] = defaultdict(lambda: defaultdict(list))
    in_order: list[_Known] = []
    last: dict[tuple[str, str], _Known] = {}
    for place in placed:
        entry = read_entry(place.raw)
        if entry is None:
            verdict.broken.append(f"What lies at {place.where} is not an entry of the trail.")
            continue
        known = _Known(entry, place.where)
        same_number = chains[entry.writer][entry.number]
        if any(other.entry == entry for other in same_number):
            verdict.repeats += 1
            continue
        same_number.append(known)
        in_order.append(known)
        verdict.broken.extend(_faults_within(known, place))
        before = last.get((place.lane, entry.writer))
        if before is not None and before.entry.number > entry.number:
            verdict.broken.append(f"{_name(known)} stands after {_name(before)}, out of order.")
        else:
            last[place.lane, entry.writer] = known
    verdict.entries = len(in_order)
    return verdict, chains, in_order


def read_entry(raw: bytes) -> AuditEntry | None:
    """The entry in these bytes, or None when they are none."""
    try:
        return AuditEntry.model_validate_json(raw)
    except ValidationError:
        return None


def _faults_within(known: _Known, place: Placed) -> Iterator[str]:
    if content_hash(known.entry) != known.entry.hash:
        yield f"{_name(known)} was changed: its hash is not that of its content."
    elif entry_bytes(known.entry) != place.raw:
        yield f"{_name(known)} is not written as it was: its content is the same, its bytes are not."
    if place.key is not None and place.key != known.entry.event.actor.encode():
        yield f"{_name(known)} was sent under another key than its actor."


# --- links ------------------------------------------------------------------------------------------------------------


def _check(verdict: Verdict, chains: _Chains, now: datetime | None, recorded: Sequence[ChainHead]) -> None:
    kept_from = now - KEPT if now else None
    chosen = {writer: _chosen(numbers) for writer, numbers in chains.items()}
    for writer in sorted(chosen):
        for number, claims in sorted(chains[writer].items()):
            if len(claims) > 1:
                places = " and ".join(claim.where for claim in claims)
                verdict.broken.append(f"{writer} has {len(claims)} different entries {number} ({places}).")
        _check_links(verdict, writer, chosen[writer], kept_from)
    _check_heads(verdict, chosen, kept_from, recorded)
    verdict.heads = latest_heads(known.entry for chain in chosen.values() for known in chain.values())


def _chosen(numbers: Mapping[int, Sequence[_Known]]) -> dict[int, _Known]:
    """Of several entries that claim a number, the one that the next entry follows: the others are told as such."""
    found = {}
    for number, claims in numbers.items():
        wanted = {after.entry.previous for after in numbers.get(number + 1, ())}
        found[number] = next((claim for claim in claims if claim.entry.hash in wanted), claims[0])
    return found


def _check_links(verdict: Verdict, writer: str, chain: Mapping[int, _Known], kept_from: datetime | None) -> None:
    before = 0
    for number in sorted(chain):
        entry = chain[number].entry
        missing = number - before - 1
        if missing and kept_from and entry.previous_at is not None and entry.previous_at < kept_from:
            verdict.no_longer_kept += missing
        elif missing:
            verdict.broken.append(f"{_gone(before + 1, number - 1, writer)}, before {_name(chain[number])}.")
        elif number == 1 and (entry.previous != NOTHING_BEFORE or entry.previous_at is not None):
            verdict.broken.append(f"{_name(chain[number])} begins its chain, but names an entry before it.")
        elif number > 1:
            previous = chain[before].entry
            if (entry.previous, entry.previous_at) != (previous.hash, previous.written_at):
                verdict.broken.append(f"{_name(chain[number])} does not follow on {_name(chain[before])}.")
        before = number


def _check_heads(
    verdict: Verdict,
    chosen: Mapping[str, Mapping[int, _Known]],
    kept_from: datetime | None,
    recorded: Sequence[ChainHead],
) -> None:
    named = [(head, "the heads that were recorded") for head in recorded]
    for chain in chosen.values():
        named.extend((head, _name(known)) for known in chain.values() for head in known.entry.heads)
    cut: dict[str, tuple[ChainHead, str]] = {}
    for head, by in sorted(named, key=lambda found: found[0].number):
        found = chosen.get(head.writer, {}).get(head.number)
        if found is not None and found.entry.head != head:
            verdict.broken.append(f"{_name(found)} is not the one that {by} named.")
        old = kept_from is not None and head.written_at < kept_from
        if head.number > _end(chosen.get(head.writer)) and not old:
            cut[head.writer] = (head, by)  # the furthest is last
    for writer, (head, by) in sorted(cut.items()):
        end = _end(chosen.get(writer))
        verdict.broken.append(f"{_gone(end + 1, head.number, writer)} at the end of its chain: {by} named it.")


def _seals(entry: AuditEntry) -> bool:
    return entry.event.action is AuditAction.DISCLOSURE and entry.event.subject.kind is SubjectKind.TRAIL


def _name(known: _Known) -> str:
    return f"Entry {known.entry.number} of {known.entry.writer} ({known.where})"


def _gone(first: int, last: int, writer: str) -> str:
    if first == last:
        return f"Entry {first} of {writer} is missing"
    return f"Entries {first} to {last} of {writer} are missing"


def _end(chain: Mapping[int, _Known] | None) -> int:
    return max(chain) if chain else 0


def _count(number: int) -> str:
    return "An entry stands" if number == 1 else f"{number} entries stand"
