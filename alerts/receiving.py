"""One revision as one route is told of it: what its audience may see; pure."""

from __future__ import annotations

from alerts.disclosure import Discloser
from alerts.routing import Told
from schemas.alert import Alert
from schemas.disclosure import Disclosed
from schemas.routes import Route


def tell(alert: Alert, route: Route, told: Told, discloser: Discloser) -> Disclosed | None:
    """What the audience of a route may see of a revision; None where it may not be told of it.

    Whoever was told of an episode is told of its end: even where the audience could no longer be told of it as it is.
    """
    found = discloser.disclose(alert, route.audience)
    if found is None and alert.state.is_over and told.is_told:
        # Only the public is refused, because of what health knows or because of a mute: the end says neither.
        as_the_public = alert.model_copy(update={"evidence": "police_only", "muted": False})
        found = discloser.disclose(as_the_public, route.audience)
    return found
