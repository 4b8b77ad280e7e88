"""Alerts as e-mail: one revision at once, or a digest before a meeting; plain text, and the same as HTML."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from html import escape
from typing import Final
from zoneinfo import ZoneInfo

from alerts.phrases import moment_words
from alerts.wording import as_text
from schemas.delivery import key_of
from schemas.disclosure import Disclosed
from schemas.episodes import EpisodeState

#: Mail programs show about so much of a subject.
_SUBJECT: Final = 150
_PAGE: Final = """<!doctype html>
<html lang="en-GB">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title></head>
<body style="font:16px/1.5 Arial,sans-serif;color:#0b0c0c;max-width:42rem;margin:1rem auto;padding:0 1rem">
{body}
</body>
</html>
"""
_MARK: Final = '<p style="font-weight:bold;border:2px solid #0b0c0c;padding:.25rem .5rem">{}</p>'


def immediate(told: Disclosed, sender: str, recipients: Sequence[str], route_id: str) -> EmailMessage:
    """One revision. The same revision on the same route has the same Message-ID, by which it is recognised."""
    told_key = key_of(told)
    mail = _envelope(told.headline, [told], sender, recipients, f"{told_key}.{route_id}", told.as_of)
    # Mail programs show the revisions of one episode as one conversation.
    mail["References"] = _message_id(f"{told.episode_id}.{route_id}", sender)
    mail["X-Hotspot-Key"] = told_key
    mail.set_content(f"{_mark(told)}\n\n{as_text(told.headline, told.paragraphs)}")
    body = _MARK.format(escape(_mark(told))) + _article(told, "h1")
    mail.add_alternative(_PAGE.format(title=escape(told.headline), body=body), subtype="html")
    return mail


def digest(
    told: Sequence[Disclosed],
    sender: str,
    recipients: Sequence[str],
    route_id: str,
    slot: datetime,
    zone: ZoneInfo,
) -> EmailMessage:
    """All that came before one meeting, oldest first; of each episode the newest revision is told in full.

    Raises ValueError when there is nothing to tell.
    """
    if not told:
        raise ValueError("a digest of nothing is not sent")
    newest = {one.episode_id: one for one in told}
    episodes = sorted(newest.values(), key=lambda one: (one.state.is_over, one.as_of, one.episode_id))
    title = _title(episodes, slot, zone)
    mail = _envelope(title, told, sender, recipients, f"digest.{slot:%Y%m%dT%H%M%SZ}.{route_id}", slot)
    mail["X-Hotspot-Keys"] = " ".join(key_of(one) for one in told)
    mark = _mark(episodes[0])
    plain = [mark, title, *(f"{number}. {one.headline}" for number, one in enumerate(episodes, 1))]
    full = [f"{'-' * 72}\n{as_text(one.headline, one.paragraphs)}" for one in episodes]
    mail.set_content("\n\n".join([*plain, *full]))
    listed = "".join(f"<li>{escape(one.headline)}</li>" for one in episodes)
    body = f"{_MARK.format(escape(mark))}<h1>{escape(title)}</h1><ol>{listed}</ol>"
    body += "".join(f"<hr>{_article(one, 'h2')}" for one in episodes)
    mail.add_alternative(_PAGE.format(title=escape(title), body=body), subtype="html")
    return mail


def _envelope(
    subject: str, told: Sequence[Disclosed], sender: str, recipients: Sequence[str], name: str, at: datetime
) -> EmailMessage:
    mail = EmailMessage(policy=SMTP)
    mail["Subject"] = _subject(subject, any(one.simulated for one in told))
    mail["From"] = Address("Hotspot monitor", addr_spec=sender)
    mail["To"] = [Address(addr_spec=recipient) for recipient in recipients]
    mail["Date"] = format_datetime(at)
    mail["Message-ID"] = _message_id(name, sender)
    mail["Auto-Submitted"] = "auto-generated"
    return mail


def _message_id(name: str, sender: str) -> str:
    return f"<{name}@{sender.partition('@')[2]}>"


def _subject(text: str, simulated: bool) -> str:
    line = " ".join(text.split())  # a header is one line, whatever stands in a name
    marked = line if line.startswith("[SIMULATED]") or not simulated else f"[SIMULATED] {line}"
    return marked if len(marked) <= _SUBJECT else marked[: marked.rindex(" ", 0, _SUBJECT - 1)].rstrip(",;:") + " …"


def _title(episodes: Sequence[Disclosed], slot: datetime, zone: ZoneInfo) -> str:
    opened = sum(not one.state.is_over for one in episodes)
    taken = sum(one.state is EpisodeState.RETRACTED for one in episodes)
    parts = [f"{opened} open"] if opened else []
    parts += [f"{len(episodes) - opened - taken} over"] if len(episodes) - opened - taken else []
    parts += [f"{taken} taken back"] if taken else []
    return f"Unusual violence, for the meeting of {moment_words(slot, zone)}: {', '.join(parts)}"


def _mark(told: Disclosed) -> str:
    return f"{told.marking}. {told.handling}".strip()


def _article(told: Disclosed, heading: str) -> str:
    parts = [f"<{heading}>{escape(told.headline)}</{heading}>"]
    for paragraph in told.paragraphs:
        if paragraph.name == "links":
            continue
        lines = "<br>".join(escape(line) for line in paragraph.text.splitlines())
        parts.append(f"<h3>{escape(paragraph.heading)}</h3><p>{lines}</p>")
    for link in told.links:
        parts.append(f'<p><a href="{escape(link.href)}">{escape(link.title)}</a></p>')
    return "\n".join(parts)
