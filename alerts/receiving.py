"""One revision as one route is told of it: what its audience may see; pure."""

from __future__ import annotations

from alerts.disclosure import disclose
from alerts.publication import Publication
from alerts.routing import Told
from schemas.alert import Alert
from schemas.disclosure import Disclosed
from schemas.region import RegionFile
from schemas.routes import Route


def tell(alert: Alert, route: Route, told: Told, publication: Publication, region: RegionFile) -> Disclosed | None:
    """What the audience of a route may see of a revision; None where it may not be told of it.

    Whoever was told of an episode is told of its end: even where the audience could no longer be told of it as it is.
    """
    found = disclose(alert, route.audience, publication, region)
    if found is None and alert.state.is_over and told.is_told:
        # Only the public is refused, because of what health knows or because of a mute: the end says neither.
        found = disclose(
            alert.model_copy(update={"evidence": "police_only", "muted": False}), route.audience, publication, region
        )
    return found
