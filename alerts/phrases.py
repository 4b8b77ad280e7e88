"""Numbers, spans, times and places as people say them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, Literal, NamedTuple
from zoneinfo import ZoneInfo

from schemas.alert import HoursName, Window
from schemas.detection import DAY_S, HOUR_S, Detection
from schemas.located import KIND_NAMES

Evidence = Literal["police_only", "ed_only", "both"]

#: What kinds of records are called, for who has never seen one.
SOURCE_WORDS: Final[Mapping[str, str]] = {"ed": "emergency departments", "police": "the police"}
#: Peak hours are so many in a row, and hold at least this part of the incidents, and so many.
PEAK_HOURS: Final = 4
PEAK_PART: Final = 0.5
PEAK_LEAST: Final = 3


def per_kind(values: tuple[int, ...] | tuple[float, ...]) -> dict[str, float]:
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


def plain_usual(expected: float) -> str:
    """The same for who knows no decimals of incidents."""
    if expected < 0.05:
        return "almost none is usual"
    if expected < 0.95:
        return "less than one is usual"
    return f"about {expected:.0f} {'is' if round(expected) == 1 else 'are'} usual"


def recurrence_words(days: float, cap: float) -> str:
    """How often chance alone would do this, as a phrase."""
    if days >= cap:
        return f"less than once in {cap / 365.25:.0f} years"
    if days >= 730:
        return f"about once in {days / 365.25:.0f} years"
    if days >= 2:
        return f"about once in {days:.0f} days"
    return "every day or two"


def length_words(metres: float) -> str:
    """A length: 375 m, 1.1 km."""
    return f"{metres / 1000:.1f} km" if metres >= 1000 else f"{metres:.0f} m"


def coordinates_words(window: Window) -> str:
    """The centre of a window in degrees."""
    latitude = f"{abs(window.latitude):.4f}°{'N' if window.latitude >= 0 else 'S'}"
    longitude = f"{abs(window.longitude):.4f}°{'E' if window.longitude >= 0 else 'W'}"
    return f"{latitude} {longitude}"


def place_words(window: Window, place: str = "", grid_reference: str = "") -> str:
    """Where, as a part of a sentence: by name, else by grid reference, else by coordinates."""
    if place:
        return place
    return f"within {length_words(window.radius_m)} of {grid_reference or coordinates_words(window)}"


PART_WORDS: Final[Mapping[HoursName, str]] = {
    "any": "in ",
    "mornings": "in the mornings (Monday to Friday, 06:00 to 12:00) of ",
    "afternoons": "in the afternoons (Monday to Friday, 12:00 to 18:00) of ",
    "nights": "in the nights (18:00 to 06:00) other than those of weekends of ",
    "weekend_days": "in the daytime (06:00 to 18:00) of the weekends of ",
    "weekend_nights": "in the weekend nights (Friday and Saturday, 18:00 to 06:00) of ",
}


def within_words(window: Window) -> str:
    """The time of a window, as a part of a sentence: `in 3 days`."""
    return f"{PART_WORDS[window.hours]}{span_words(round((window.end - window.start).total_seconds()))}"


def moment_words(moment: datetime, zone: ZoneInfo) -> str:
    """A moment on the region's clock: `Sat 28 February 2026, 12:00`."""
    local = moment.astimezone(zone)
    return f"{local:%a} {local.day} {local:%B %Y, %H:%M}"


def day_words(moment: datetime, zone: ZoneInfo) -> str:
    """Its day."""
    local = moment.astimezone(zone)
    return f"{local:%a} {local.day} {local:%B %Y}"


def number_words(count: int, noun: str) -> str:
    """A count of something: `1 incident`, `no incidents`."""
    return f"{count or 'no'} {noun}{'' if count == 1 else 's'}"


def listed(parts: Sequence[str]) -> str:
    """Things one after the other: `a, b and c`."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else list(parts))


class Peak(NamedTuple):
    """The busiest hours of the day."""

    first: int
    """Local hour in which they begin."""
    last: int
    """Local hour at which they end."""
    held: int
    """Incidents in them."""
    of: int


def peak_of(by_hour: Mapping[str, Sequence[int]]) -> Peak | None:
    """The hours in a row that hold most; None where no hours stand out."""
    hours = [sum(of_hour) for of_hour in zip(*by_hour.values(), strict=True)]
    total = sum(hours)
    held = [sum(hours[(first + n) % 24] for n in range(PEAK_HOURS)) for first in range(24)]
    most = max(held)
    if most < max(PEAK_LEAST, PEAK_PART * total):
        return None
    first = held.index(most)
    return Peak(first, (first + PEAK_HOURS) % 24, most, total)
