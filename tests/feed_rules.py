"""What RFC 4287 (Atom) and RFC 7946 (GeoJSON) ask of a feed, written anew: independent of the code that writes them."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise
from typing import Any
from xml.etree import ElementTree as ET

ATOM = "{http://www.w3.org/2005/Atom}"
MANY = 10**6
_IRI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[^\s<>\"{}|\\^`]+")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
_MEDIA = re.compile(r"[A-Za-z0-9!#$&^_.+-]+/[A-Za-z0-9!#$&^_.+-]+")
TIMES = {"updated", "published"}
#: name to least and most, of section 4.1; those that are an Atom text construct, a person, or something else.
FEED: dict[str, tuple[int, int]] = {
    "author": (0, MANY), "category": (0, MANY), "contributor": (0, MANY), "generator": (0, 1), "icon": (0, 1),
    "id": (1, 1), "link": (0, MANY), "logo": (0, 1), "rights": (0, 1), "subtitle": (0, 1), "title": (1, 1),
    "updated": (1, 1), "entry": (0, MANY),
}  # fmt: skip
ENTRY: dict[str, tuple[int, int]] = {
    "author": (0, MANY), "category": (0, MANY), "content": (0, 1), "contributor": (0, MANY), "id": (1, 1),
    "link": (0, MANY), "published": (0, 1), "rights": (0, 1), "source": (0, 1), "summary": (0, 1), "title": (1, 1),
    "updated": (1, 1),
}  # fmt: skip


def atom_faults(document: bytes) -> list[str]:
    """What a feed document breaks of the rules; none for a good one."""
    root = ET.fromstring(document)
    if root.tag != f"{ATOM}feed":
        return [f"the root is {root.tag}"]
    return [*_container(root, FEED, "feed"), *_feed(root)]


def _feed(root: ET.Element) -> Iterator[str]:
    entries = root.findall(f"{ATOM}entry")
    for entry in entries:
        yield from _container(entry, ENTRY, "entry")
        if entry.find(f"{ATOM}content") is None and not _links(entry, "alternate"):
            yield "an entry has neither content nor an alternate (4.1.2)"
        if root.find(f"{ATOM}author") is None and entry.find(f"{ATOM}author") is None:
            yield "an entry has no author, nor has the feed (4.1.1)"
    seen = Counter((entry.findtext(f"{ATOM}id"), entry.findtext(f"{ATOM}updated")) for entry in entries)
    if max(seen.values(), default=0) > 1:
        yield "two entries share id and time (4.1.1)"
    if entries and root.findtext(f"{ATOM}id", "") == entries[0].findtext(f"{ATOM}id", ""):
        yield "feed and entry share an id (4.2.6)"
    for link in _links(root, "self"):
        if link.get("href", "").startswith("/"):
            yield "the feed does not say where it is (4.2.7.2)"


def _container(element: ET.Element, rules: dict[str, tuple[int, int]], name: str) -> Iterator[str]:
    found = Counter(child.tag.removeprefix(ATOM) for child in element)
    for unknown in found.keys() - rules.keys():
        yield f"{name} holds {unknown}"
    for child, (least, most) in rules.items():
        if not least <= found[child] <= most:
            yield f"{name} has {found[child]} {child}"
    alternates = Counter((link.get("type"), link.get("hreflang")) for link in _links(element, "alternate"))
    if max(alternates.values(), default=0) > 1:
        yield f"{name} has two alternates of a kind (4.1.1, 4.1.2)"
    for inner in element:
        yield from _element(inner, inner.tag.removeprefix(ATOM))


def _element(element: ET.Element, name: str) -> Iterator[str]:
    text = element.text or ""
    if name == "id" and not _IRI.fullmatch(text):
        yield f"{text!r} is no IRI (4.2.6)"
    if name in TIMES and not _is_time(text):
        yield f"{text!r} is no time of RFC 3339 (3.3)"
    if name in ("author", "contributor") and len(element.findall(f"{ATOM}name")) != 1:
        yield f"{name} has no name (3.2)"
    if name == "category" and not element.get("term"):
        yield "a category has no term (4.2.2)"
    if name == "link" and not element.get("href"):
        yield "a link leads nowhere (4.2.7)"
    if name == "link" and element.get("type") and not _MEDIA.fullmatch(element.get("type", "")):
        yield "a link has a type that is none (4.2.7.3)"
    if name in ("title", "rights", "subtitle", "summary", "content"):
        kind = element.get("type", "text")
        if kind not in ("text", "html", "xhtml") and name != "content":
            yield f"{name} is of type {kind} (3.1.1)"
        if kind in ("text", "html") and len(element):
            yield f"{name} holds elements, and is {kind} (3.1.1)"
    if name == "title" and not text.strip():
        yield "a title is empty"


def _is_time(text: str) -> bool:
    try:
        return bool(_TIME.fullmatch(text) and datetime.fromisoformat(text))
    except ValueError:
        return False


def _links(element: ET.Element, relation: str) -> list[ET.Element]:
    return [link for link in element.findall(f"{ATOM}link") if link.get("rel", "alternate") == relation]


def geojson_faults(document: bytes) -> list[str]:
    """What a collection of features breaks of the rules; none for a good one."""
    found = json.loads(document.decode("utf-8"))
    if not isinstance(found, dict) or found.get("type") != "FeatureCollection":
        return ["it is no FeatureCollection (3.3)"]
    return [*_collection(found)]


def _collection(found: dict[str, Any]) -> Iterator[str]:
    if "crs" in found:
        yield "it names a system of coordinates (4)"
    if found.keys() & {"coordinates", "geometries", "geometry", "properties"}:
        yield "a FeatureCollection has members of other types (7.1)"
    features = found.get("features")
    if not isinstance(features, list):
        yield "features is no array (3.3)"
        return
    names = Counter(str(feature.get("id")) for feature in features)
    if max(names.values(), default=0) > 1:
        yield "two features share an id"
    for feature in features:
        yield from _feature(feature)


def _feature(feature: dict[str, Any]) -> Iterator[str]:
    if feature.get("type") != "Feature":
        yield "a feature is none (3.2)"
    if "geometry" not in feature or "properties" not in feature:
        yield "a feature lacks geometry or properties (3.2)"
    if not isinstance(feature.get("properties"), dict | None):
        yield "properties are no object (3.2)"
    if not isinstance(feature.get("id"), str | int | float):
        yield "an id is neither a string nor a number (3.2)"
    geometry = feature.get("geometry")
    if geometry is None:
        return
    if geometry.get("type") != "MultiPolygon":
        yield f"the geometry is a {geometry.get('type')}"
        return
    for polygon in geometry["coordinates"]:
        for number, ring in enumerate(polygon):
            yield from _ring(ring, outer=number == 0)


def _ring(ring: list[list[float]], *, outer: bool) -> Iterator[str]:
    if len(ring) < 4:
        yield "a ring has fewer than four positions (3.1.6)"
    if ring[0] != ring[-1]:
        yield "a ring is not closed (3.1.6)"
    if any(len(position) not in (2, 3) for position in ring):
        yield "a position has too few or too many numbers (3.1.1)"
    if any(not (-180 <= x <= 180 and -90 <= y <= 90) for x, y in ((p[0], p[1]) for p in ring)):
        yield "a position is not on Earth: longitude comes first (3.1.1)"
    area = sum(a[0] * b[1] - b[0] * a[1] for a, b in pairwise(ring))
    if (area > 0) is not outer:
        yield "a ring runs the wrong way round (3.1.6)"
