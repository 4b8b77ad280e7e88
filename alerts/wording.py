"""What an alert says in plain English: a headline, and paragraphs in the order in which a meeting asks."""

from __future__ import annotations

from collections.abc import Mapping
from zoneinfo import ZoneInfo

from alerts.phrases import (
    SOURCE_WORDS,
    Peak,
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
from schemas.alert import Alert, AlertReason, Compared, EpisodeState, Paragraph, Spell, Window
from schemas.disclosure import Disclosed
from schemas.episodes import Handling, Outcome, Passage

SIMULATED = "[SIMULATED] "
NOT_UNUSUAL = "What is left is not unusual."
NOT_COMPARED = "Not compared: it no longer holds."
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
            AlertReason.EVIDENCE_WITHDRAWN: f"Corrected, as records of it were withdrawn or changed: violence {where}: "
            f"{counts}.",
            AlertReason.CLOSED: f"Over: violence {where} is no longer unusual.",
            AlertReason.MERGED: f"Joined: violence {where} is now followed together with violence next to it.",
            AlertReason.SPLIT: f"Smaller: a part of this violence is now followed by itself; the rest is {where}: "
            f"{counts}.",
            AlertReason.MOVED: f"Moved: this violence is now {where}: {counts}.",
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
        Paragraph("when", "When", when_text(alert.window, zone, alert.state) + _peak_text(alert)),
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
    drawn = " Its outline is part of this alert." if outlines else ""
    return f"{named}Centre: {centre}; it reaches {length_words(window.radius_m)} from there.{drawn}"


def when_text(window: Window, zone: ZoneInfo, state: EpisodeState) -> str:
    """The span of a window. That of what is over is not of now, and the reader must not think so."""
    hours = "" if window.hours == "any" else f" Only {within_words(window).removeprefix('in ')} are counted."
    return f"{seen_words(state)}{moment_words(window.start, zone)} to {moment_words(window.end, zone)}.{hours}"


def seen_words(state: EpisodeState) -> str:
    """Before what is told of a window: of when that is."""
    return {EpisodeState.CLOSED: "As last seen: ", EpisodeState.RETRACTED: "What is taken back: "}.get(state, "")


def peak_text(peak: Peak, total: int, whose: str = "") -> str:
    """The busiest hours, of so many incidents that were told, as a sentence."""
    # What came in after a window was last seen is in the hours, and not in its counts: then no number is told.
    many = "Most" if peak.of != total else f"All {total}" if peak.held == total else f"{peak.held} of the {total}"
    of = f" of those{whose}" if many == "Most" and whose else whose
    return f"{many}{of} happened between {peak.first:02d}:00 and {peak.last:02d}:00."


def _peak_text(alert: Alert) -> str:
    if alert.state is EpisodeState.RETRACTED or not any(sum(hours) for hours in alert.by_hour.values()):
        return ""
    peak = peak_of(alert.by_hour)
    return " No hours of the day stand out." if peak is None else f" {peak_text(peak, sum(alert.observed.values()))}"


def _how_many(alert: Alert) -> str:
    if alert.state is EpisodeState.RETRACTED:
        left = [
            f"{number_words(count, 'incident')} known to {SOURCE_WORDS[kind]}" for kind, count in alert.observed.items()
        ]
        return f"What is left: {listed(left)}."
    lines = [
        f"Known to {SOURCE_WORDS[name]}: {number_words(count, 'incident')}, "
        f"usually {usual_words(alert.expected[name])}."
        for name, count in alert.observed.items()
        if count or alert.expected[name] >= _LITTLE
    ]
    return " ".join([*lines, evidence_text(alert.evidence, alert.state)])


def evidence_text(evidence: str, state: EpisodeState) -> str:
    """What drives it, and what only hospitals know."""
    if state.is_over:
        return {
            "ed_only": "Only emergency departments saw more than usual: police records alone would not have shown it.",
            "police_only": "Only police records were above the usual.",
            "both": "Emergency departments and the police both saw more than usual.",
        }[evidence]
    return {
        "ed_only": "Only emergency departments see more than usual: police records alone would not show it.",
        "police_only": "Only police records are above the usual.",
        "both": "Emergency departments and the police both see more than usual.",
    }[evidence]


def _how_unusual(alert: Alert) -> str:
    if alert.state is EpisodeState.RETRACTED:
        return NOT_UNUSUAL
    words = recurrence_words(alert.recurrence_interval_days, MOST_DAYS)
    if alert.state is EpisodeState.CLOSED:
        return f"As last seen, by chance alone this would happen {words} across the whole area."
    text = f"By chance alone this would happen {words} across the whole area."
    if alert.permutation_p_value is not None:
        chance = alert.permutation_p_value
        told = "less than 1 in a million" if chance < 1e-6 else f"about 1 in {float(f'{1 / chance:.2g}'):,.0f}"
        text += (
            " A second test, which does not use what is usual, puts the chance of so many at just this place and time "
            f"at {told}."
        )
    return text


def _compared(alert: Alert, zone: ZoneInfo) -> str:
    if alert.state is EpisodeState.RETRACTED:
        return NOT_COMPARED
    if alert.compared is None:
        return "Nothing to compare with."
    return compared_text(alert.compared, zone)


def compared_text(compared: Compared, zone: ZoneInfo) -> str:
    """Beside the eight weeks before, and the same time last year."""
    before = spell_text("In the eight weeks before", compared.last_8_weeks, zone)
    return f"{before} {spell_text('Last year', compared.last_year, zone, dated=True)}"


def spell_text(when: str, spell: Spell | None, zone: ZoneInfo, dated: bool = False) -> str:
    """What was there in another time."""
    if spell is None:
        return f"{when}: the records do not reach back so far."
    if dated:
        when = f"{when}, from {day_words(spell.start, zone)} to {day_words(spell.end, zone)}"
    count = sum(spell.observed.values())
    per = f", on average {usual_words(sum(spell.per_window.values()))} in as long a time" if count else ""
    return f"{when}: {number_words(count, 'incident')} here{per}."


def _not_known(alert: Alert) -> str:
    parts = list(dict.fromkeys(notice.sentence for notice in alert.not_known))
    parts += [
        f"About {share:.0%} of what {SOURCE_WORDS[name]} will tell of this time has usually not come yet."
        for name, share in alert.late_share.items()
        if share >= _LITTLE
    ]
    parts += [
        f"{share:.0%} of the newer records of {SOURCE_WORDS[name]} are not counted: their place or time is not known "
        "well enough."
        for name, share in alert.unlocated_share.items()
        if share >= _LITTLE
    ]
    return " ".join(parts) if parts else "Nothing out of the ordinary: all sources report as usual."


_REASON_WORDS = {
    AlertReason.OPENED: "opened",
    AlertReason.ESCALATED: "grew",
    AlertReason.EVIDENCE_WITHDRAWN: "corrected",
    AlertReason.CLOSED: "closed",
    AlertReason.MERGED: "joined to another",
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
    number = f"alert {alert.revision}" if alert.revision > 1 else "the first alert"
    parts = [f"{alert.state.value.capitalize()}{since}.", f"This is {number} about episode {alert.episode_id}."]
    before = [_passage(one, zone) for one in alert.history if one.revision < alert.revision]
    if before:
        parts.append(f"Before: {listed(before)}.")
    if alert.split_from:
        parts.append(f"It split off from episode {alert.split_from}.")
    if alert.absorbed:
        parts.append(f"It took in {'episode' if len(alert.absorbed) == 1 else 'episodes'} {listed(alert.absorbed)}.")
    if alert.merged_into:
        retracted = alert.state is EpisodeState.RETRACTED
        parts.append(f"It {'had gone' if retracted else 'goes'} on as a part of episode {alert.merged_into}.")
    parts += _people(alert.people, zone)
    if alert.muted_until is not None:
        held = "This revision is held by a mute" if alert.muted else "Its place is muted"
        parts.append(f"{held} until {moment_words(alert.muted_until, zone)}.")
    return " ".join(parts)


def _passage(passage: Passage, zone: ZoneInfo) -> str:
    word = "taken back" if passage.state is EpisodeState.RETRACTED else _REASON_WORDS[passage.reason]
    return f"{word} {moment_words(passage.at, zone)}{' (held by a mute)' if passage.muted else ''}"


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
    if alert.state is EpisodeState.RETRACTED:
        return "No review is needed. Do not rely on anything that was told of it before."
    if alert.state is EpisodeState.CLOSED:
        return "No review is needed."
    if alert.review_at is not None and alert.review_at == alert.expires_at:
        return f"Look at it again by {moment_words(alert.review_at, zone)}; do not rely on this alert after that."
    parts = []
    if alert.review_at is not None:
        parts.append(f"Look at it again by {moment_words(alert.review_at, zone)}.")
    if alert.expires_at is not None:
        parts.append(f"Do not rely on this alert after {moment_words(alert.expires_at, zone)}.")
    return " ".join(parts)


def marking_text(marking: str, handling: str, simulated: bool) -> str:
    """The protective marking, and what may be done with it."""
    exercise = "SIMULATED: an exercise, never a real alert. " if simulated else ""
    return f"{exercise}{marking}. {handling}".strip()
