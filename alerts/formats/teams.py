"""An alert as an Adaptive Card, in the envelope that a Teams workflow takes ("when a webhook request is received")."""

from __future__ import annotations

import re
from typing import Any, Final

import pydantic_core

from schemas.delivery import key_of
from schemas.disclosure import Disclosed
from schemas.episodes import EpisodeState

CONTENT_TYPE: Final = "application/json"
#: Teams refuses a message above 28 KB; the rest of the text is behind the link.
MOST_BYTES: Final = 27_000
_ALWAYS: Final = ("where", "when", "how_many")
_COLOURS: Final = {
    EpisodeState.EMERGING: "attention",
    EpisodeState.GROWING: "attention",
    EpisodeState.STEADY: "warning",
    EpisodeState.RECEDING: "accent",
    EpisodeState.CLOSED: "good",
    EpisodeState.RETRACTED: "default",
}


def teams(told: Disclosed) -> bytes:
    """One revision as JSON, below the size that Teams takes."""
    whole = _message(told, [paragraph.name for paragraph in told.paragraphs])
    return whole if len(whole) <= MOST_BYTES else _message(told, list(_ALWAYS))


def _message(told: Disclosed, names: list[str]) -> bytes:
    body: list[dict[str, Any]] = [
        _text(f"{told.marking} · {told.state.value}", size="small", isSubtle=True),
        _text(told.headline, size="large", weight="bolder", color=_COLOURS[told.state]),
    ]
    for paragraph in told.paragraphs:
        if paragraph.name in names and paragraph.name != "links":
            body += [_text(paragraph.heading, weight="bolder"), _text(paragraph.text, spacing="none")]
    body.append(_text(f"Message {key_of(told)}", size="small", isSubtle=True))
    card: dict[str, Any] = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "lang": "en-GB",
        "fallbackText": told.headline,
        "body": body,
    }
    if told.links:
        card["actions"] = [{"type": "Action.OpenUrl", "title": link.title, "url": link.href} for link in told.links]
    attachment = {
        "contentType": "application/vnd.microsoft.card.adaptive",
        "contentUrl": None,
        "content": card,
    }
    return pydantic_core.to_json({"type": "message", "attachments": [attachment]})


def _text(text: str, **look: Any) -> dict[str, Any]:
    # A text block reads some Markdown: what would be marks is shown as it is.
    shown = re.sub(r"([\\`*_\[\]])", r"\\\1", text).replace("\n", "\n\n")
    return {"type": "TextBlock", "text": shown, "wrap": True, **look}
