"""What the schema of CAP 1.2 (OASIS, 1 July 2010) and its text ask of a message, written anew as a table of rules.

Order, number and type of every element; and of the rules of the text those on identifiers, references, restriction and
polygons. Independent of the code that writes messages.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from xml.etree import ElementTree as ET

CAP = "{urn:oasis:names:tc:emergency:cap:1.2}"
MANY = 10**6
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[-,+]\d\d:\d\d"
NAME = r"[^\s,<&]+"
ANY = r"[\s\S]*"
_NUMBER = r"-?\d+(?:\.\d+)?"
POLYGON = rf"{_NUMBER},{_NUMBER}(?: {_NUMBER},{_NUMBER}){{3,}}"
REFERENCE = rf"{NAME},{NAME},{TIME}"
CATEGORY = "Geo|Met|Safety|Security|Rescue|Fire|Health|Env|Transport|Infra|CBRNE|Other"
RESPONSE = "Shelter|Evacuate|Prepare|Execute|Avoid|Monitor|Assess|AllClear|None"

#: name, least, most, pattern of the text (empty where there are elements in it)
Rule = tuple[str, int, int, str]
PAIR: list[Rule] = [("valueName", 1, 1, ANY), ("value", 1, 1, ANY)]
RULES: dict[str, list[Rule]] = {
    "alert": [
        ("identifier", 1, 1, NAME),
        ("sender", 1, 1, NAME),
        ("sent", 1, 1, TIME),
        ("status", 1, 1, "Actual|Exercise|System|Test|Draft"),
        ("msgType", 1, 1, "Alert|Update|Cancel|Ack|Error"),
        ("source", 0, 1, ANY),
        ("scope", 1, 1, "Public|Restricted|Private"),
        ("restriction", 0, 1, r"[\s\S]+"),
        ("addresses", 0, 1, ANY),
        ("code", 0, MANY, ANY),
        ("note", 0, 1, ANY),
        ("references", 0, 1, rf"{REFERENCE}(?:\s+{REFERENCE})*"),
        ("incidents", 0, 1, ANY),
        ("info", 0, MANY, ""),
    ],
    "info": [
        ("language", 0, 1, r"[A-Za-z]{1,8}(-[A-Za-z0-9]{1,8})*"),
        ("category", 1, MANY, CATEGORY),
        ("event", 1, 1, ANY),
        ("responseType", 0, MANY, RESPONSE),
        ("urgency", 1, 1, "Immediate|Expected|Future|Past|Unknown"),
        ("severity", 1, 1, "Extreme|Severe|Moderate|Minor|Unknown"),
        ("certainty", 1, 1, "Observed|Likely|Possible|Unlikely|Unknown"),
        ("audience", 0, 1, ANY),
        ("eventCode", 0, MANY, ""),
        ("effective", 0, 1, TIME),
        ("onset", 0, 1, TIME),
        ("expires", 0, 1, TIME),
        ("senderName", 0, 1, ANY),
        ("headline", 0, 1, r"[\s\S]{1,160}"),
        ("description", 0, 1, ANY),
        ("instruction", 0, 1, ANY),
        ("web", 0, 1, r"https?://\S+"),
        ("contact", 0, 1, ANY),
        ("parameter", 0, MANY, ""),
        ("resource", 0, MANY, ""),
        ("area", 0, MANY, ""),
    ],
    "area": [
        ("areaDesc", 1, 1, r"[\s\S]+"),
        ("polygon", 0, MANY, POLYGON),
        ("circle", 0, MANY, rf"{_NUMBER},{_NUMBER} {_NUMBER}"),
        ("geocode", 0, MANY, ""),
        ("altitude", 0, 1, _NUMBER),
        ("ceiling", 0, 1, _NUMBER),
    ],
    "resource": [
        ("resourceDesc", 1, 1, ANY),
        ("mimeType", 1, 1, ANY),
        ("size", 0, 1, r"\d+"),
        ("uri", 0, 1, ANY),
        ("derefUri", 0, 1, ANY),
        ("digest", 0, 1, ANY),
    ],
    "eventCode": PAIR,
    "parameter": PAIR,
    "geocode": PAIR,
}


def faults(message: bytes) -> list[str]:
    """What a message breaks of the rules; none for a good one."""
    root = ET.fromstring(message)
    if root.tag != f"{CAP}alert":
        return [f"the root is {root.tag}"]
    return [*_structure(root, "alert"), *_meaning(root)]


def _structure(element: ET.Element, name: str) -> Iterator[str]:
    rules = RULES[name]
    order = [rule[0] for rule in rules]
    found = [child.tag.removeprefix(CAP) for child in element]
    if element.attrib:
        yield f"{name} has attributes"
    for child in found:
        if child not in order:
            yield f"{name} holds {child}"
    places = [order.index(child) for child in found if child in order]
    for before, after in pairwise(places):
        if before > after:
            yield f"in {name}, {order[after]} comes after {order[before]}"
    for child, least, most, pattern in rules:
        inner = element.findall(f"{CAP}{child}")
        if not least <= len(inner) <= most:
            yield f"{name} has {len(inner)} {child}"
        for one in inner:
            if not pattern:
                yield from _structure(one, child)
            elif len(one) or not re.fullmatch(pattern, one.text or ""):
                yield f"{child} of {name} is not as it should be"


def _meaning(root: ET.Element) -> Iterator[str]:
    kind, scope = root.findtext(f"{CAP}msgType"), root.findtext(f"{CAP}scope")
    if kind in ("Update", "Cancel") and root.find(f"{CAP}references") is None:
        yield f"an {kind} without references"
    if (scope == "Restricted") != (root.find(f"{CAP}restriction") is not None):
        yield f"scope {scope} and restriction do not fit"
    own = f"{root.findtext(f'{CAP}identifier')}"
    if own in [reference.split(",")[1] for reference in (root.findtext(f"{CAP}references") or "").split()]:
        yield "it refers to itself"
    for polygon in root.iter(f"{CAP}polygon"):
        corners = (polygon.text or "").split()
        if corners[0] != corners[-1]:
            yield "a polygon is not closed"
        for corner in corners:
            latitude, longitude = (float(number) for number in corner.split(","))
            if not (-90 <= latitude <= 90 and -180 <= longitude <= 180):
                yield "a corner is not on Earth"
