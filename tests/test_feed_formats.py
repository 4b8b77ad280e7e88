"""Feeds keep RFC 4287 and RFC 7946, whatever is told; and the rules find what is broken."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any, get_args

import pytest

from alerts.formats.atom import atom
from alerts.formats.geojson import geojson
from schemas.alert import Link
from schemas.disclosure import Audience, Disclosed
from tests.builders import NOW
from tests.builders_delivery import told
from tests.feed_rules import atom_faults, geojson_faults
from tests.test_formats import CLOSED, GROWN, RETRACTED

AUDIENCES: tuple[Audience, ...] = get_args(Audience)
STORIES: dict[str, dict[str, Any]] = {
    "opened": {},
    "grown": GROWN,
    "closed": CLOSED,
    "retracted": RETRACTED,
    "simulated": {"simulated": True},
    "no place and no outline": {"place": "", "grid_reference": "", "polygons": ()},
    "no links": {"links": ()},
    "two links": {"links": (Link("Episode", "https://a.example.org/1"), Link("Map", "https://a.example.org/2"))},
    "marks of XML": {"place": "near <Bow & Arrow>", "handling": 'a "b" & <c>'},
}


def feed(*found: Disclosed, href: str = "https://hotspot.example.org/feeds/a.atom") -> bytes:
    """As Atom."""
    return atom(found, "a", "Unusual violence", href, NOW)


@pytest.mark.parametrize("audience", AUDIENCES)
@pytest.mark.parametrize("fields", STORIES.values(), ids=STORIES)
def test_feeds_keep_their_standards(audience: Audience, fields: dict[str, Any]) -> None:
    one = told(audience, evidence="police_only", **fields)
    other = told(audience, evidence="police_only", episode_id="b", as_of=NOW + timedelta(hours=1))
    for found in ([], [one], [one, other]):
        assert atom_faults(feed(*found)) == []
        assert atom_faults(feed(*found, href="")) == []
        assert geojson_faults(geojson(found)) == []


BROKEN_ATOM = {
    "no id": ("<id>urn:uuid:", "<x>urn:uuid:", "</id>", "</x>"),
    "an id that is no IRI": ("<id>urn:uuid:", "<id>urn uuid "),
    "a time without a zone": ("Z</updated>", "</updated>"),
    "a time that never was": ("2026-03-01T12:00:00Z</updated>", "2026-02-31T12:00:00Z</updated>"),
    "no title": ("<title>Unusual violence</title>", ""),
    "two titles": ("<title>Unusual violence</title>", "<title>a</title><title>b</title>"),
    "no author": ("<name>Hotspot monitor</name>", ""),
    "nobody wrote it": ("<author>\n    <name>Hotspot monitor</name>\n  </author>", ""),
    "a link to nowhere": ('rel="self" href="https://hotspot.example.org/feeds/a.atom"', 'rel="self"'),
    "a category without a term": ('term="emerging"', 'label="emerging"'),
    "an unknown element": ("<author>", "<colour>red</colour><author>"),
    "another root": ("<feed ", "<rss ", "</feed>", "</rss>"),
    "neither content nor alternate": (
        "<content ",
        "<summary ",
        "</content>",
        "</summary>",
        'rel="alternate"',
        'rel="related"',
    ),
    "two alternates": ("<published>", '<link href="https://b.example.org" /><published>'),
}


@pytest.mark.parametrize("changes", BROKEN_ATOM.values(), ids=BROKEN_ATOM)
def test_the_rules_find_what_is_broken_in_atom(changes: tuple[str, ...]) -> None:
    text = feed(told("health")).decode()
    for good, bad in zip(changes[::2], changes[1::2], strict=True):
        assert good in text
        text = text.replace(good, bad)
    assert atom_faults(text.encode())


def reversed_ring(found: Any) -> None:
    found["features"][0]["geometry"]["coordinates"][0][0].reverse()


def open_ring(found: Any) -> None:
    found["features"][0]["geometry"]["coordinates"][0][0].pop()


def latitude_first(found: Any) -> None:
    ring = found["features"][0]["geometry"]["coordinates"][0][0]
    ring[:] = [[90.5 + y - 50, x] for x, y in ring]
    ring[:] = [[y, x] for x, y in ring]


def with_crs(found: Any) -> None:
    found["crs"] = {"type": "name"}


def without_properties(found: Any) -> None:
    del found["features"][0]["properties"]


def the_same_twice(found: Any) -> None:
    found["features"].append(found["features"][0])


def another_type(found: Any) -> None:
    found["type"] = "Features"


@pytest.mark.parametrize(
    "breaks",
    [reversed_ring, open_ring, latitude_first, with_crs, without_properties, the_same_twice, another_type],
    ids=lambda breaks: breaks.__name__,
)
def test_the_rules_find_what_is_broken_in_geojson(breaks: Any) -> None:
    found = json.loads(geojson([told("health")]))
    breaks(found)
    assert geojson_faults(json.dumps(found).encode())
