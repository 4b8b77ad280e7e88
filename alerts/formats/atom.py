"""Alerts as an Atom feed (RFC 4287): one entry an episode, which changes with its revisions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import NAMESPACE_URL, uuid5
from xml.etree import ElementTree as ET

from alerts.wording import as_text
from schemas.disclosure import Disclosed

NAMESPACE: Final = "http://www.w3.org/2005/Atom"
CONTENT_TYPE: Final = "application/atom+xml"


def atom(told: Sequence[Disclosed], feed_id: str, title: str, href: str, changed_at: datetime) -> bytes:
    """A feed as XML in UTF-8, newest first.

    `href` is where the feed itself is (empty where that is not known); `changed_at` stands for a feed without entries.
    """
    newest = sorted(told, key=lambda one: (one.as_of, one.episode_id), reverse=True)
    root = ET.Element("feed", xmlns=NAMESPACE)
    _add(root, "id", _urn(f"feed/{feed_id}"))
    _add(root, "title", title)
    _add(root, "updated", _time(newest[0].as_of if newest else changed_at))
    _add(ET.SubElement(root, "author"), "name", "Hotspot monitor")
    if href:
        ET.SubElement(root, "link", rel="self", href=href)
    for one in newest:
        _entry(root, one)
    ET.indent(root)
    written: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return written


def _entry(root: ET.Element, told: Disclosed) -> None:
    entry = ET.SubElement(root, "entry")
    _add(entry, "id", _urn(f"episode/{told.episode_id}"))
    _add(entry, "title", told.headline)
    _add(entry, "published", _time(told.opened_at))
    _add(entry, "updated", _time(told.as_of))
    for term in (told.state.value, told.reason.value, *(["simulated"] if told.simulated else [])):
        ET.SubElement(entry, "category", term=term)
    for number, link in enumerate(told.links):
        # An entry has one alternate of a kind (RFC 4287, 4.1.2).
        ET.SubElement(entry, "link", rel="related" if number else "alternate", href=link.href, title=link.title)
    _add(entry, "rights", f"{told.marking}. {told.handling}".strip())
    _add(entry, "content", as_text(told.headline, told.paragraphs), type="text")


def _urn(name: str) -> str:
    """The same name for the same thing for good, as Atom asks; a link may move."""
    return uuid5(NAMESPACE_URL, f"urn:hotspot:{name}").urn


def _add(parent: ET.Element, name: str, text: str, **attributes: str) -> None:
    ET.SubElement(parent, name, attributes).text = text


def _time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
