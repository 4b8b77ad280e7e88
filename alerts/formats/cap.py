"""An alert as a message of the Common Alerting Protocol, CAP 1.2 (OASIS, July 2010)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from xml.etree import ElementTree as ET

from schemas.delivery import key_of
from schemas.disclosure import Disclosed
from schemas.episodes import EpisodeState

NAMESPACE: Final = "urn:oasis:names:tc:emergency:cap:1.2"
CONTENT_TYPE: Final = "application/cap+xml"
#: What a headline may have at most so that displays show all of it (CAP 1.2, section 3.2.2).
_HEADLINE: Final = 160


def cap(told: Disclosed, sender: str, earlier: Sequence[tuple[int, datetime]]) -> bytes:
    """One revision as XML in UTF-8.

    `earlier` are the revisions that this receiver was told before, with the `as_of` of each: an update refers to them.
    What is simulated is an `Exercise`. A retraction is a `Cancel`; an end is an `Update` whose response is `AllClear`.
    """
    root = ET.Element("alert", xmlns=NAMESPACE)
    _add(root, "identifier", key_of(told))
    _add(root, "sender", sender)
    _add(root, "sent", _time(told.as_of))
    _add(root, "status", "Exercise" if told.simulated else "Actual")
    _add(root, "msgType", _message_type(told, bool(earlier)))
    _add(root, "scope", "Public" if told.audience == "public" else "Restricted")
    if told.audience != "public":
        _add(root, "restriction", f"{told.marking}. {told.handling}".strip())
    if told.simulated:
        _add(root, "note", "The records behind this message are simulated: it is an exercise.")
    elif told.state is EpisodeState.RETRACTED:
        _add(root, "note", told.headline)
    if earlier:
        said = (f"{sender},{told.episode_id}.{revision},{_time(as_of)}" for revision, as_of in earlier)
        _add(root, "references", " ".join(said))
    _add(root, "incidents", told.episode_id)
    _info(root, told)
    ET.indent(root)
    written: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return written


def _message_type(told: Disclosed, is_followed: bool) -> str:
    if not is_followed:
        return "Alert"
    return "Cancel" if told.state is EpisodeState.RETRACTED else "Update"


def _info(root: ET.Element, told: Disclosed) -> None:
    over = told.state.is_over
    info = ET.SubElement(root, "info")
    _add(info, "language", "en-GB")
    _add(info, "category", "Security")
    _add(info, "event", "Unusual violence")
    _add(info, "responseType", "AllClear" if over else "Assess")
    _add(info, "urgency", "Past" if over else "Future")
    _add(info, "severity", "Unknown")
    _add(info, "certainty", "Unknown" if told.state is EpisodeState.RETRACTED else "Possible")
    _add(info, "onset", _time(told.start))
    if told.expires_at is not None:
        _add(info, "expires", _time(told.expires_at))
    _add(info, "senderName", told.region_name)
    _add(info, "headline", _short(told.headline))
    _add(info, "description", "\n\n".join([told.headline, *(f"{p.heading}: {p.text}" for p in told.paragraphs)]))
    review = next((paragraph.text for paragraph in told.paragraphs if paragraph.name == "review"), "")
    if review:
        _add(info, "instruction", review)
    if told.links:
        _add(info, "web", told.links[0].href)
    for name, value in (("state", told.state.value), ("reason", told.reason.value), ("revision", str(told.revision))):
        parameter = ET.SubElement(info, "parameter")
        _add(parameter, "valueName", f"hotspot:{name}")
        _add(parameter, "value", value)
    area = ET.SubElement(info, "area")
    _add(area, "areaDesc", told.place or told.grid_reference or told.region_name)
    for polygon in told.polygons:
        # A CAP polygon has no holes: its outside is told, and the GeoJSON has the rest.
        _add(area, "polygon", " ".join(f"{latitude},{longitude}" for longitude, latitude in polygon[0]))


def _add(parent: ET.Element, name: str, text: str) -> None:
    ET.SubElement(parent, name).text = text


def _time(moment: datetime) -> str:
    """CAP wants seconds and an offset in digits, never a Z."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S+00:00")


def _short(headline: str) -> str:
    if len(headline) <= _HEADLINE:
        return headline
    return headline[: headline.rindex(" ", 0, _HEADLINE - 1)].rstrip(",;:") + " …"
