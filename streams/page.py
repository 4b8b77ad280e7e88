"""One plain page with the current episodes, for the demo and for operations staff on the worker's own address."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from schemas.alert import Alert

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="refresh" content="5">
<title>Current episodes</title>
<style>
body {{ font: 1.1rem/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #0b0c0c }}
li {{ border-left: 6px solid #12436d; margin: 0 0 1rem; padding: .25rem 1rem; list-style: none }}
ul {{ padding: 0 }}
small {{ color: #505a5f }}
</style>
</head>
<body>
<h1>Current episodes</h1>
{body}
<p><small>This page renews itself every 5 seconds. OFFICIAL-SENSITIVE</small></p>
</body>
</html>
"""


def episodes_page(alerts: Sequence[Alert]) -> str:
    """The page as HTML."""
    if not alerts:
        return _PAGE.format(body="<p>Nothing is unusual now.</p>")
    return _PAGE.format(body="<ul>\n" + "\n".join(_item(alert) for alert in alerts) + "\n</ul>")


def _item(alert: Alert) -> str:
    opened = alert.opened_at.strftime("%a %d %b %Y %H:%M UTC")
    told = alert.as_of.strftime("%a %d %b %Y %H:%M UTC")
    details = f"{alert.state.value}; opened {opened}; last told {told}; {alert.episode_id}, revision {alert.revision}"
    if alert.muted_until is not None:
        details += f"; muted until {alert.muted_until:%a %d %b %Y %H:%M UTC}"
    return f"<li><p>{escape(alert.headline)}</p><p><small>{escape(details)}</small></p></li>"
