"""Writes a proposed region as TOML, with a comment beside each guess."""

from __future__ import annotations

import json
from collections.abc import Iterator

from pydantic import BaseModel

from cli.region_proposal import SIMULATED, Proposal
from cli.region_trial import Outcome
from schemas.region import Source


def render(proposal: Proposal, outcome: Outcome, file_name: str) -> str:
    """The text of the region file."""
    return "\n".join(_lines(proposal, outcome, file_name)) + "\n"


def _lines(proposal: Proposal, outcome: Outcome, file_name: str) -> Iterator[str]:
    region, comments = proposal.region, proposal.comments
    used = f"{outcome.used:,} of {outcome.rows:,} rows can be scanned"
    yield f"# Proposed from {_plain(file_name)}: {used}. Check all of it."
    if SIMULATED in proposal.notes:
        yield f"# {SIMULATED}"
    for field in ("id", "name"):
        yield f"{field} = {_text(getattr(region, field))}"
    for field in ("crs", "timezone", "holidays"):
        yield f"{field} = {_text(getattr(region, field))}  # {_plain(comments[field])}"
    yield f"bounds = {_inline(region.bounds)}  # {comments['bounds']}"
    of_sources = _plain(comments["sources"])
    if len(region.sources) == 1:
        yield f"sources = [{_inline(region.sources[0])}]  # {of_sources}"
    else:
        yield f"sources = [  # {of_sources}"
        yield from (f"    {_inline(source)}," for source in region.sources)
        yield "]"
    yield "# institutions: hospitals, police stations and prisons, which are not scanned; see docs/regions.md."
    if region.columns is not None:
        yield "[columns]"
        for name, part in region.columns:
            if part.model_dump(exclude_defaults=True):
                yield f"{name} = {_inline(part)}"


def _inline(part: BaseModel | Source) -> str:
    fields = part.model_dump(mode="json", exclude_defaults=True)
    pairs = (f"{name} = {_text(value) if isinstance(value, str) else value}" for name, value in fields.items())
    return f"{{ {', '.join(pairs)} }}"


def _text(value: str) -> str:
    # A JSON string is a TOML basic string, but for one control character.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007F")


def _plain(text: str) -> str:
    """Text for a comment: no line breaks or other control characters."""
    return "".join(letter if letter.isprintable() else " " for letter in text)
