"""Alerts as GeoJSON (RFC 7946): one feature an episode."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import pydantic_core

from schemas.delivery import key_of
from schemas.disclosure import Disclosed

CONTENT_TYPE: Final = "application/geo+json"


def geojson(told: Iterable[Disclosed]) -> bytes:
    """A feature collection; an episode whose outline may not be told has no geometry."""
    return pydantic_core.to_json({"type": "FeatureCollection", "features": [_feature(one) for one in told]}) + b"\n"


def _feature(told: Disclosed) -> dict[str, Any]:
    return {
        "type": "Feature",
        "id": told.episode_id,
        "geometry": {"type": "MultiPolygon", "coordinates": told.polygons} if told.polygons else None,
        "properties": {
            "key": key_of(told),
            "revision": told.revision,
            "headline": told.headline,
            "state": told.state.value,
            "reason": told.reason.value,
            "audience": told.audience,
            "region": told.region,
            "place": told.place,
            "grid_reference": told.grid_reference,
            "opened_at": told.opened_at,
            "as_of": told.as_of,
            "start": told.start,
            "end": told.end,
            "counts": {kind: count.words for kind, count in told.counts.items()},
            "muted": told.muted,
            "review_at": told.review_at,
            "expires_at": told.expires_at,
            "marking": told.marking,
            "handling": told.handling,
            "simulated": told.simulated,
            "links": [{"title": link.title, "href": link.href} for link in told.links],
            "attribution": told.attribution,
        },
    }
