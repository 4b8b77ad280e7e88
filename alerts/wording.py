"""What an alert says in plain English."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from schemas.alert import AlertReason, EpisodeState, Window
from schemas.detection import DAY_S, HOUR_S, Detection, WeekPart
from schemas.located import KIND_NAMES

Evidence = Literal["police_only", "ed_only", "both"]

_KIND_WORDS = {"police": "police", "ed": "ED"}


def per_kind(values: tuple[int, ...] | tuple[float, ...]) -> Mapping[str, float]:
    """Values of a detection by name of the kind."""
    return dict(zip(KIND_NAMES, values, strict=True))


def evidence_of(detection: Detection) -> Evidence:
    """Which kinds drive the score: a kind counts when it adds a tenth of it."""
    strong = [name for name, score in per_kind(detection.kind_scores).items() if score >= 0.1 * detection.score > 0]
    if strong == ["ed"]:
        return "ed_only"
    return "police_only" if strong == ["police"] else "both"


def span_words(seconds: int) -> str:
    """A span as people say it: 6 hours, 3 days, 4 weeks."""
    if seconds % (7 * DAY_S) == 0 and seconds >= 14 * DAY_S:
        return f"{seconds // (7 * DAY_S)} weeks"
    if seconds % DAY_S == 0 and seconds > DAY_S:
        return f"{seconds // DAY_S} days"
    return "1 hour" if seconds == HOUR_S else f"{seconds // HOUR_S} hours"


def usual_words(expected: float) -> str:
    """An expectation with as many digits as it deserves."""
    if expected < 0.05:
        return "almost none"
    return f"{expected:.1f}" if expected < 9.95 else f"{expected:.0f}"


def recurrence_words(days: float, cap: float) -> str:
    """How often chance alone would do this, as a phrase."""
    if days >= cap:
        return f"less than once in {cap / 365.25:.0f} years"
    if days >= 730:
        return f"about once in {days / 365.25:.0f} years"
    if days >= 2:
        return f"about once in {days:.0f} days"
    return "every day or two"


def place_words(window: Window) -> str:
    """Where, in words that need no map: a distance and a point in degrees."""
    latitude = f"{abs(window.latitude):.4f}°{'N' if window.latitude >= 0 else 'S'}"
    longitude = f"{abs(window.longitude):.4f}°{'E' if window.longitude >= 0 else 'W'}"
    radius = f"{window.radius_m / 1000:.1f} km" if window.radius_m >= 1000 else f"{window.radius_m:.0f} m"
    return f"within {radius} of {latitude} {longitude}"


_PART_WORDS = {
    WeekPart.ANY: "in ",
    WeekPart.MORNINGS: "in the mornings (Monday to Friday, 06:00 to 12:00) of ",
    WeekPart.AFTERNOONS: "in the afternoons (Monday to Friday, 12:00 to 18:00) of ",
    WeekPart.NIGHTS: "in the nights (18:00 to 06:00) other than those of weekends of ",
    WeekPart.WEEKEND_DAYS: "in the daytime (06:00 to 18:00) of the weekends of ",
    WeekPart.WEEKEND_NIGHTS: "in the weekend nights (Friday and Saturday, 18:00 to 06:00) of ",
}
_OPENINGS = {
    AlertReason.OPENED: "Violence is emerging",
    AlertReason.ESCALATED: "Violence is growing",
    AlertReason.CLOSED: "No longer unusual",
}


def headline(
    reason: AlertReason,
    state: EpisodeState,
    detection: Detection,
    window: Window,
    recurrence_days: float,
    *,
    cap: float,
    simulated: bool,
) -> str:
    """One sentence that a reader who knows nothing understands."""
    opening = _OPENINGS.get(reason, "Corrected")
    if state is EpisodeState.RETRACTED:
        opening = "Retracted because records were withdrawn,"
    exercise = "[SIMULATED] " if simulated else ""
    total, usual = sum(detection.observed), usual_words(sum(detection.expected))
    when = f"{_PART_WORDS[detection.part]}{span_words(detection.span_s)}"
    counts = f"{total} incident{'s' if total != 1 else ''} {when} where {usual} is usual"
    kinds = _kinds_words(detection)
    chance = f"by chance alone {recurrence_words(recurrence_days, cap)} across the whole area"
    return f"{exercise}{opening} {place_words(window)}: {counts}{kinds}; {chance}."


def _kinds_words(detection: Detection) -> str:
    expected = per_kind(detection.expected)
    parts = [
        f"{_KIND_WORDS[name]} {int(count)}, usually {usual_words(expected[name])}"
        for name, count in per_kind(detection.observed).items()
        if count or expected[name] >= 0.05
    ]
    return f" ({'; '.join(parts)})" if len(parts) > 1 else f" ({parts[0].split(' ', 1)[0]} records)" if parts else ""
