"""Headline and text for one audience, from what it may see and nothing else."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from alerts.phrases import (
    PART_WORDS,
    SOURCE_WORDS,
    day_words,
    listed,
    moment_words,
    number_words,
    peak_of,
    plain_usual,
    recurrence_words,
    span_words,
    usual_words,
)
from alerts.wording import (
    NOT_COMPARED,
    NOT_UNUSUAL,
    compared_text,
    evidence_text,
    history_text,
    marking_text,
    peak_text,
    review_text,
    seen_words,
    told_as,
)
from processors.calibration import MOST_DAYS
from schemas.alert import Paragraph
from schemas.disclosure import Disclosed
from schemas.episodes import EpisodeState


def worded(disclosed: Disclosed, zone: ZoneInfo) -> Disclosed:
    """With headline and text, which are a function of the other fields."""
    return disclosed.model_copy(
        update={"headline": _headline(disclosed), "paragraphs": tuple(_paragraphs(disclosed, zone))}
    )


def _headline(told: Disclosed) -> str:
    counts = [_count_text(name, told) for name in told.counts]
    if told.evidence in ("ed_only", "both"):
        counts.append(f"{SOURCE_WORDS['ed']} see more than usual")
    return told_as(told.reason, told.state, _where(told), "; ".join(counts), told.simulated)


def _where(told: Disclosed) -> str:
    return told.place or (f"near {told.grid_reference}" if told.grid_reference else f"in {told.region_name}")


def _time(told: Disclosed) -> str:
    return f"{PART_WORDS[told.hours]}{span_words(round((told.end - told.start).total_seconds()))}"


def _count_text(name: str, told: Disclosed) -> str:
    count, by = told.counts[name], f"known to {SOURCE_WORDS[name]}"
    noun = "incident" if count.high == 1 else "incidents"
    many = f"{'no' if count.high == 0 else count.words} {noun} {by}"
    if name in told.usual:
        return f"{many} {_time(told)}, where {plain_usual(told.usual[name])}"
    return f"{many} around there in the same weeks"


def _paragraphs(told: Disclosed, zone: ZoneInfo) -> list[Paragraph]:
    said = [
        Paragraph("where", "Where", _where_text(told)),
        Paragraph("when", "When", _when_text(told, zone)),
        Paragraph("how_many", "How many", _how_many(told)),
        Paragraph("how_unusual", "How unusual", _how_unusual(told)),
        Paragraph("compared", "Compared", _compared(told, zone)),
    ]
    if told.audience != "public":
        said.append(Paragraph("not_known", "What is not known", _not_known(told)))
    said += [
        Paragraph("history", "State and history", history_text(told, zone)),
        Paragraph("review", "Review", review_text(told, zone)),
        Paragraph("marking", "Marking", marking_text(told.marking, told.handling, told.simulated)),
    ]
    if told.links:
        said.append(Paragraph("links", "Links", "\n".join(f"{link.title}: {link.href}" for link in told.links)))
    return said


def _where_text(told: Disclosed) -> str:
    where = _where(told)
    parts = [f"{where[0].upper()}{where[1:]}."]
    if told.grid_reference:
        parts.append(f"Grid reference {told.grid_reference}, to the kilometre.")
    if told.addresses is not None:
        parts.append(f"The outline that is part of this alert holds at least {told.addresses:,} addresses.")
    return " ".join(parts)


def _when_text(told: Disclosed, zone: ZoneInfo) -> str:
    words = day_words if told.audience == "public" else moment_words
    text = f"{seen_words(told.state)}{words(told.start, zone)} to {words(told.end, zone)}."
    if told.hours != "any":
        text += f" Only {_time(told).removeprefix('in ')} are counted."
    peak = peak_of(told.by_hour) if told.by_hour else None
    if peak is None or told.state is EpisodeState.RETRACTED:
        return text
    known = listed([SOURCE_WORDS[name] for name in told.by_hour])
    total = sum(told.counts[name].high for name in told.by_hour)  # told as they are: hours are of no others
    return f"{text} {peak_text(peak, total, f' known to {known}')}"


def _how_many(told: Disclosed) -> str:
    if told.state is EpisodeState.RETRACTED:
        # Rounded counts are of what was first published, and say nothing of what is left.
        left = [
            f"{number_words(told.counts[name].high, 'incident')} known to {SOURCE_WORDS[name]}" for name in told.usual
        ]
        return f"What is left: {listed(left)}." if left else "Nothing that was told of it holds."
    parts = [f"Known to {SOURCE_WORDS[name]}: {_one_count(name, told)}." for name in told.counts]
    if told.evidence is not None:
        parts.append(evidence_text(told.evidence, told.state))
    return " ".join(parts)


def _one_count(name: str, told: Disclosed) -> str:
    count = told.counts[name]
    if name in told.usual:
        return f"{count.words}, usually {usual_words(told.usual[name])}"
    return (
        f"{count.words} in the map squares and the weeks that it touches, as first published; all counts from 1 to 7 "
        "are told as that, and others are rounded to 5"
    )


def _how_unusual(told: Disclosed) -> str:
    if told.state is EpisodeState.RETRACTED:
        return NOT_UNUSUAL
    alone = [
        f"By chance alone, as many known to {SOURCE_WORDS[name]} would be seen {recurrence_words(days, MOST_DAYS)} "
        "across the whole area."
        for name, days in told.alone_days.items()
    ]
    return " ".join([f"It {'was' if told.state.is_over else 'is'} unusual enough to be told of in this area.", *alone])


def _compared(told: Disclosed, zone: ZoneInfo) -> str:
    if told.state is EpisodeState.RETRACTED:
        return NOT_COMPARED
    if told.compared is None:
        return "Nothing that may be told here."
    known = listed([SOURCE_WORDS[name] for name in told.usual])
    return f"Counted is what is known to {known}. {compared_text(told.compared, zone)}"


def _not_known(told: Disclosed) -> str:
    return " ".join(dict.fromkeys(notice.sentence for notice in told.not_known)) or "All sources report as usual."
