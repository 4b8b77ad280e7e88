"""`hotspot audit`: who did or saw what, and whether the trail of it is whole."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import click
from pydantic import TypeAdapter, ValidationError

from alerts.audit import entry_bytes, handed_out, latest_heads, viewed
from alerts.audit_verify import Placed, Verdict, verify, verify_export
from cli.actor import ACTOR, WHY
from schemas.audit import AuditAction, AuditEntry, AuditEvent, AuditSubject, ChainHead, SubjectKind
from schemas.base import ToldError, utc_now
from schemas.settings import Settings, load_settings
from streams.audit import entries_of, read_trail, record_now
from streams.topics import Topics

FILE = click.Path(path_type=Path, dir_okay=False)
DAY = click.DateTime(formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M"])
_HEAD: TypeAdapter[ChainHead] = TypeAdapter(ChainHead)


class TrailFileError(ToldError, ValueError):
    """A file that cannot be read or written, or is not what it should be."""


@click.group()
def audit() -> None:
    """The audit trail: who did or saw what, when, why and to whom it went.

    \b
    Examples:
      hotspot audit list --since 2026-03-01
      hotspot audit verify
    """


# --- verify -----------------------------------------------------------------------------------------------------------


@audit.command(name="verify")
@click.argument("file", type=FILE, required=False)
@click.option("--against", type=FILE, help="Heads of chains that --heads-out wrote earlier: they must still be there.")
@click.option("--heads-out", type=FILE, help="Write the heads of all chains here, if the trail is whole.")
def verify_trail(file: Path | None, against: Path | None, heads_out: Path | None) -> None:
    """Check that nothing in the trail was changed, removed, put in or moved.

    Reads the topic, or FILE as `hotspot audit export` wrote it. A sentence for each broken link and exit code 1;
    exit code 0 for a trail that is whole.

    \b
    Examples:
      hotspot audit verify
      hotspot audit verify trail.jsonl
      hotspot audit verify --against march.heads --heads-out april.heads
    """
    recorded = _read_heads(against) if against else []
    if file:
        verdict = verify_export(_read_file(file), recorded)
    else:
        verdict = verify(read_trail(load_settings()), utc_now(), recorded)
    for sentence in verdict.broken:
        click.echo(sentence)
    click.echo(_summary(verdict), err=True)
    if verdict.broken:
        raise SystemExit(1)
    if heads_out:
        _write(heads_out, (head.model_dump_json().encode() for head in verdict.heads))


def _summary(verdict: Verdict) -> str:
    if not verdict.entries and not verdict.broken:
        return "The trail is empty: nothing was recorded yet, or all of it is gone."
    told = "whole" if not verdict.broken else f"broken in {_counted(len(verdict.broken), 'place')}"
    more = f" {verdict.repeats} of them twice." if verdict.repeats else ""
    gone = f" {verdict.no_longer_kept} older ones are no longer kept." if verdict.no_longer_kept else ""
    entries, chains = _counted(verdict.entries, "entry", "entries"), _counted(len(verdict.heads), "chain")
    return f"The trail is {told}: {entries} in {chains}.{more}{gone}"


def _counted(number: int, one: str, many: str = "") -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"


# --- export -----------------------------------------------------------------------------------------------------------


@audit.command()
@click.option("--out", type=FILE, required=True, help="File to write, a line an entry.")
@ACTOR
@WHY
def export(out: Path, actor: str, why: str) -> None:
    """Write the whole trail to a file that can be checked without Kafka. That it was exported is in the trail, too.

    \b
    Example:
      hotspot audit export --out trail.jsonl --why inspection
    """
    settings = load_settings()
    placed = read_trail(settings)
    entries = sorted(_different(entries_of(placed)), key=lambda entry: (entry.writer, entry.number))
    event = handed_out(_trail(settings), f"account/{actor}", why, utc_now(), actor=actor, nonce=_nonce())
    seal = record_now(settings, "export", [event], utc_now, heads=latest_heads(entries))
    _write(out, (entry_bytes(entry) for entry in (*entries, *seal)))
    unreadable = len(placed) - len(entries_of(placed))
    if unreadable:
        click.echo(f"{unreadable} messages are no entries and not in the file: run hotspot audit verify.", err=True)
    click.echo(f"{out}: {_counted(len(entries) + 1, 'entry', 'entries')}.", err=True)


def _different(entries: Iterable[AuditEntry]) -> list[AuditEntry]:
    return list({entry_bytes(entry): entry for entry in entries}.values())


# --- list -------------------------------------------------------------------------------------------------------------


@audit.command(name="list")
@click.option("--since", type=DAY, help="From this day (UTC) on.")
@click.option("--until", type=DAY, help="Before this day (UTC).")
@click.option("--by", metavar="ACCOUNT", help="What this account did only.")
@click.option("--action", type=click.Choice([action.value for action in AuditAction]), help="Such actions only.")
@click.option("--about", metavar="ID", help="About this episode, alert or region only.")
@click.option("--json", "as_json", is_flag=True, help="Whole entries, as JSON lines.")
@ACTOR
@WHY
def list_entries(
    since: datetime | None,
    until: datetime | None,
    by: str | None,
    action: str | None,
    about: str | None,
    as_json: bool,
    actor: str,
    why: str,
) -> None:
    """Show what is in the trail, oldest first, each event once. That you looked is in the trail afterwards.

    \b
    Examples:
      hotspot audit list --since 2026-03-01
      hotspot audit list --about hampshire-20260301T120000Z-0a1b2c3d
    """
    settings = load_settings()
    entries = entries_of(read_trail(settings))
    event = viewed(_trail(settings), why, utc_now(), actor=actor, nonce=_nonce())
    record_now(settings, "list", [event], utc_now)
    for entry in _once(entries):
        happened = entry.event
        if (
            (since is None or happened.at >= since.replace(tzinfo=UTC))
            and (until is None or happened.at < until.replace(tzinfo=UTC))
            and by in (None, happened.actor)
            and action in (None, happened.action.value)
            and (about is None or happened.subject.id == about or happened.subject.id.startswith(f"{about}."))
        ):
            click.echo(entry_bytes(entry).decode() if as_json else _line(happened))


def _once(entries: Sequence[AuditEntry]) -> list[AuditEntry]:
    """Each event once, as it was first recorded: after a crash it may be recorded again, under the same id."""
    found: dict[str, AuditEntry] = {}
    for entry in sorted(entries, key=lambda entry: entry.written_at):
        found.setdefault(entry.event.event_id, entry)
    return sorted(found.values(), key=lambda entry: (entry.event.at, entry.event.event_id))


def _line(event: AuditEvent) -> str:
    what = f"{event.subject.kind.value} {event.subject.id}"
    to = f" to {event.recipient}" if event.recipient else ""
    return f"{event.at:%Y-%m-%d %H:%M:%S}Z  {event.actor}  {event.action.value} of {what}{to}  ({event.why})"


# --- what they share --------------------------------------------------------------------------------------------------


def _trail(settings: Settings) -> AuditSubject:
    return AuditSubject(kind=SubjectKind.TRAIL, id=Topics(settings.prefix).audit)


def _nonce() -> str:
    return secrets.token_hex(8)


def _read_file(path: Path) -> list[Placed]:
    lines = _read(path).split(b"\n")
    if lines and not lines[-1]:
        lines.pop()
    return [Placed(f"line {number}", str(path), line) for number, line in enumerate(lines, 1)]


def _read_heads(path: Path) -> list[ChainHead]:
    try:
        return [_HEAD.validate_json(line) for line in _read(path).splitlines()]
    except ValidationError:
        raise TrailFileError(f"The file {path} does not hold heads of chains, as --heads-out writes them.") from None


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise TrailFileError(f"The file {path} cannot be read: {error.strerror}.") from None


def _write(path: Path, lines: Iterable[bytes]) -> None:
    try:
        path.write_bytes(b"".join(line + b"\n" for line in lines))
    except OSError as error:
        raise TrailFileError(f"The file {path} cannot be written: {error.strerror}.") from None
