"""What an alert says in plain English: a headline, and paragraphs in the order in which a meeting asks."""

from __future__ import annotations

from collections.abc import Mapping
from zoneinfo import ZoneInfo

from alerts.phrases import (
    SOURCE_WORDS,
    coordinates_words,
    day_words,
    length_words,
    listed,
    moment_words,
    number_words,
    peak_of,
    place_words,
    plain_usual,
    recurrence_words,
    usual_words,
    within_words,
)
from processors.calibration import MOST_DAYS
from schemas.alert import Alert, AlertReason, EpisodeState, Paragraph, Spell, Window
from schemas.disclosure import Disclosed
from schemas.episodes import Handling, Outcome, Passage

SIMULATED = "[SIMULATED] "
_LITTLE = 0.05
"""Shares below this are not worth a sentence."""


def worded(alert: Alert, zone: ZoneInfo) -> Alert:
    """The alert with its headline and text, which are a function of its other fields."""
    return alert.model_copy(update={"headline": headline(alert), "paragraphs": paragraphs(alert, zone)})


def as_text(headline: str, said: tuple[Paragraph, ...]) -> str:
    """Headline and paragraphs as plain text."""
    return "\n".join([headline, *(f"\n{part.heading}\n{part.text}" for part in said)]) + "\n"


# --- headline -------------------------------------------------------------------------------------------------------


def headline(alert: Alert) -> str:
    """One sentence that a reader who knows nothing understands."""
    where = place_words(alert.window, alert.place, alert.grid_reference)
    total, usual = sum(alert.observed.values()), sum(alert.expected.values())
    counts = f"{number_words(total, 'incident')} {within_words(alert.window)}, where {plain_usual(usual)}"
    return told_as(alert.reason, alert.state, where, f"{counts}{_known_to(alert.observed)}", alert.simulated)


def told_as(reason: AlertReason, state: EpisodeState, where: str, counts: str, simulated: bool) -> str:
    """A headline for each reason; `counts` is left away where it says nothing."""
    exercise = SIMULATED if simulated else ""
    if state is EpisodeState.RETRACTED:
        return (
            f"{exercise}Taken back: what was told of violence {where} no longer holds, because records of it were "
            "withdrawn or corrected."
        )
    return (
        exercise
        + {
            AlertReason.OPENED: f"Violence is emerging {where}: {counts}.",
            AlertReason.ESCALATED: f"Violence is growing {where}: {counts}.",
            AlertReason.EVIDENCE_WITHDRAWN: f"Corrected: violence {where}: {counts}.",
            AlertReason.CLOSED: f"Over: violence {where} is no longer unusual.",
            AlertReason.MERGED: f"Joined: violence {where} is now followed as a part of a larger episode.",
            AlertReason.SPLIT: f"Smaller: a part of this episode is now followed by itself; {where}: {counts}.",
            AlertReason.MOVED: f"Moved: violence {where}: {counts}.",
            AlertReason.MUTE_ENDED: f"Still unusual now that a mute has ended: violence {where}: {counts}.",
            AlertReason.ASKED: f"As asked: violence {where} is {state.value}: {counts}.",
        }[reason]
    )


def _known_to(observed: Mapping[str, int]) -> str:
    """By whom the incidents are known."""
    known = [f"{count} known to {SOURCE_WORDS[name]}" for name, count in observed.items() if count]
    if len(known) == 1:
        name = next(name for name, count in observed.items() if count)
        return f" (known to {SOURCE_WORDS[name]} only)"
    return f" ({listed(known)})" if known else ""


# --- paragraphs -----------------------------------------------------------------------------------------------------


def paragraphs(alert: Alert, zone: ZoneInfo) -> tuple[Paragraph, ...]:
    """The text below the headline."""
    said = [
        Paragraph("where", "Where", where_text(alert.window, alert.place, alert.grid_reference, len(alert.polygons))),
        Paragraph("when", "When", when_text(alert.window, zone) + _peak_text(alert)),
        Paragraph("how_many", "How many", _how_many(alert)),
        Paragraph("how_unusual", "How unusual", _how_unusual(alert)),
        Paragraph("compared", "Compared", _compared(alert, zone)),
        Paragraph("not_known", "What is not known", _not_known(alert)),
        Paragraph("history", "State and history", history_text(alert, zone)),
        Paragraph("review", "Review", review_text(alert, zone)),
        Paragraph("marking", "Marking", marking_text(alert.marking, alert.handling, alert.simulated)),
    ]
    if alert.links:
        said.append(Paragraph("links", "Links", "\n".join(f"{link.title}: {link.href}" for link in alert.links)))
    return tuple(said)


def where_text(window: Window, place: str, grid_reference: str, outlines: int) -> str:
    """Place name, grid reference or coordinates, radius, outline."""
    named = f"{place[0].upper()}{place[1:]}. " if place else ""
    centre = f"grid reference {grid_reference}" if grid_reference else coordinates_words(window)
    drawn = " The outline of its cells is part of this alert." if outlines else ""
    return f"{named}Centre: {centre}; it reaches {length_words(window.radius_m)} from there.{drawn}"


def when_text(window: Window, zone: ZoneInfo) -> str:
    """The span of a window."""
    hours = "" if window.hours == "any" else f" Only {within_words(window).removeprefix('in ')} are counted."
    return f"{moment_words(window.start, zone)} to {moment_words(window.end, zone)}.{hours}"


def peak_text(first: int, last: int) -> str:
    """The busiest hours."""
    return f"between {first:02d}:00 and {last:02d}:00"


def _peak_text(alert: Alert) -> str:
    if not any(sum(hours) for hours in alert.by_hour.values()):
        return ""
    peak = peak_of(alert.by_hour)
    if peak is None:
        return " No hours of the day stand out."
    return f" {peak.held} of {peak.of} fell {peak_text(peak.first, peak.last)}."


def _how_many(alert: Alert) -> str:
    lines = [
        f"Known to {SOURCE_WORDS[name]}: {number_words(count, 'incident')}, "
        f"usually {usual_words(alert.expected[name])}."
        for name, count in alert.observed.items()
        if count or alert.expected[name] >= 0.05
    ]
    return " ".join([*lines, evidence_text(alert.evidence)]) if lines else "None is left."


def evidence_text(evidence: str) -> str:
    """What drives it, and what only hospitals know."""
    return {
        "ed_only": "Only emergency departments see more than usual: police records alone would not show it.",
        "police_only": "Only police records are above the usual.",
        "both": "Emergency departments and the police both see more than usual.",
    }[evidence]


def _how_unusual(alert: Alert) -> str:
    if alert.state is EpisodeState.RETRACTED:
        return "What is left is not unusual."
    words = recurrence_words(alert.recurrence_interval_days, MOST_DAYS)
    text = f"By chance alone {words} across the whole area."
    if alert.permutation_p_value is not None:
        chance = alert.permutation_p_value
        told = (
            "less than 1 in a million" if chance < 1e-6 else f"about 1 in {round(1 / chance):,}" if chance else "none"
        )
        text += f" A second test, which asks nothing of what is usual, puts the chance for this one window at {told}."
    return text


def _compared(alert: Alert, zone: ZoneInfo) -> str:
    if alert.compared is None:
        return "Nothing to compare with."
    total = sum(alert.observed.values())
    parts = [f"{number_words(total, 'incident').capitalize()} {within_words(alert.window)}."]
    parts.append(spell_text("In the eight weeks before", alert.compared.last_8_weeks, zone))
    parts.append(spell_text("Last year, in the weeks", alert.compared.last_year, zone, dated=True))
    return " ".join(parts)


def spell_text(when: str, spell: Spell | None, zone: ZoneInfo, dated: bool = False) -> str:
    """What was there in another time."""
    if spell is None:
        return f"{when.removesuffix(', in the weeks')}: the records do not reach back so far."
    if dated:
        when = f"{when} from {day_words(spell.start, zone)} to {day_words(spell.end, zone)}"
    count = sum(spell.observed.values())
    per = sum(spell.per_window.values())
    return f"{when}: {number_words(count, 'incident')} here, {usual_words(per)} in as long a time."


def _not_known(alert: Alert) -> str:
    parts = [notice.sentence for notice in alert.not_known]
    parts += [
        f"About {share:.0%} of what {SOURCE_WORDS[name]} will know of this time is usually not here yet."
        for name, share in alert.late_share.items()
        if share >= _LITTLE
    ]
    parts += [
        f"{share:.0%} of the newer records of {SOURCE_WORDS[name]} have no place or time good enough to be counted."
        for name, share in alert.unlocated_share.items()
        if share >= _LITTLE
    ]
    return " ".join(parts) if parts else "Nothing out of the ordinary: all feeds report as usual."


_REASON_WORDS = {
    AlertReason.OPENED: "opened",
    AlertReason.ESCALATED: "escalated",
    AlertReason.EVIDENCE_WITHDRAWN: "corrected",
    AlertReason.CLOSED: "closed",
    AlertReason.MERGED: "joined to another episode",
    AlertReason.SPLIT: "split",
    AlertReason.MOVED: "moved",
    AlertReason.MUTE_ENDED: "told again after a mute",
    AlertReason.ASKED: "told because somebody asked",
}
_OUTCOME_WORDS = {
    Outcome.GENUINE_NEW: "genuine, and new to the partnership",
    Outcome.GENUINE_KNOWN: "genuine, and known already",
    Outcome.EXPLAINED: "explained by something else",
    Outcome.NOT_USEFUL: "not useful",
}


def history_text(alert: Alert | Disclosed, zone: ZoneInfo) -> str:
    """Where it stands, what was told of it before, and what people did."""
    since = f" since {moment_words(alert.state_since, zone)}" if alert.state_since else ""
    parts = [f"{alert.state.value.capitalize()}{since}. Revision {alert.revision} of episode {alert.episode_id}."]
    if alert.history:
        parts.append(f"So far: {listed([_passage(one, zone) for one in alert.history])}.")
    if alert.split_from:
        parts.append(f"It split off from episode {alert.split_from}.")
    if alert.absorbed:
        parts.append(f"It took in {'episode' if len(alert.absorbed) == 1 else 'episodes'} {listed(alert.absorbed)}.")
    if alert.merged_into:
        parts.append(f"It goes on as a part of episode {alert.merged_into}.")
    parts += _people(alert.people, zone)
    if alert.muted_until is not None:
        held = "This revision is held by a mute" if alert.muted else "Its place is muted"
        parts.append(f"{held} until {moment_words(alert.muted_until, zone)}.")
    return " ".join(parts)


def _passage(passage: Passage, zone: ZoneInfo) -> str:
    word = "taken back" if passage.state is EpisodeState.RETRACTED else _REASON_WORDS[passage.reason]
    return f"{word} {moment_words(passage.at, zone)}{' (muted)' if passage.muted else ''}"


def _people(people: Handling, zone: ZoneInfo) -> list[str]:
    told = []
    if people.acknowledged_at is not None:
        told.append(f"Acknowledged {moment_words(people.acknowledged_at, zone)}.")
    if people.team:
        told.append(f"Assigned to {people.team}.")
    if people.outcome is not None:
        told.append(f"Found to be {_OUTCOME_WORDS[people.outcome]}.")
    return told


def review_text(alert: Alert | Disclosed, zone: ZoneInfo) -> str:
    """When to look again, and until when it holds."""
    parts = []
    if alert.review_at is not None:
        parts.append(f"Suggested by {moment_words(alert.review_at, zone)}.")
    if alert.expires_at is not None:
        parts.append(f"Do not rely on it after {moment_words(alert.expires_at, zone)}.")
    return " ".join(parts) if parts else "None needed."


def marking_text(marking: str, handling: str, simulated: bool) -> str:
    """The protective marking, and what may be done with it."""
    exercise = "SIMULATED: an exercise, never a real alert. " if simulated else ""
    return f"{exercise}{marking}. {handling}".strip()
