"""When the records of a history that does not say so would have become known: profiles of lateness, drawn by seed."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import numpy as np

from processors.arrays import Ints
from processors.feeds import codes_of
from processors.localtime import DAY_S, HOUR_S, LocalHours
from schemas.located import Kind, LocatedArray, join
from simulation.delays import ed_recorded, police_recorded

SHORTEST_S: Final = 60
MICRO: Final = 1_000_000
#: With a silent week in each, feed after feed.
SILENT_EVERY_WEEKS: Final = 13
LATE_BATCH: Final = 0.015


class Lateness(StrEnum):
    """A profile."""

    AS_RECORDED = "as-recorded"
    """As the file says; a file without record times: known when it happened."""
    USUAL = "usual"
    """Police as in a US sample, EDs in a batch each morning (DOMAIN)."""
    WEEKLY = "weekly"
    """The same with EDs that send on Mondays."""
    SILENT = "silent"
    """As usual, and once a quarter one feed is silent for a week; what it held back comes at once."""


def delayed(rows: LocatedArray, profile: Lateness, local: LocalHours, rng: np.random.Generator) -> LocatedArray:
    """The rows with record times drawn from a profile, in the order in which they become known."""
    if profile is Lateness.AS_RECORDED:
        return rows
    late = join([rows])
    for kind in Kind:
        mine = np.flatnonzero(late["kind"] == kind)
        if mine.size:
            sites = late["source"][mine].astype(np.int64)
            weekly = np.unique(sites) if profile is Lateness.WEEKLY else np.empty(0, np.int64)
            late["recorded_us"][mine] = _recorded(kind, late["occurred"][mine], sites, weekly, local, rng) * MICRO
    if profile is Lateness.SILENT:
        _hold_back(late)
    return late[np.lexsort((late["record"], late["recorded_us"]))]


def _recorded(
    kind: Kind, occurred: Ints, sites: Ints, weekly: Ints, local: LocalHours, rng: np.random.Generator
) -> Ints:
    clock = occurred + local.offsets(occurred)
    if kind is Kind.POLICE:
        recorded = police_recorded(rng, clock)
    else:
        recorded = ed_recorded(rng, clock, sites, weekly, LATE_BATCH)
    known: Ints = np.maximum(occurred + (recorded - clock), occurred + SHORTEST_S)
    return known


def _hold_back(rows: LocatedArray) -> None:
    """Silence the feeds in turn: the last week of each quarter, told at its end."""
    week_s = 7 * DAY_S
    code = codes_of(rows)
    feeds = np.unique(code)
    recorded_week = rows["recorded_us"] // (week_s * MICRO)
    turn = recorded_week // SILENT_EVERY_WEEKS
    silent = (recorded_week % SILENT_EVERY_WEEKS == SILENT_EVERY_WEEKS - 1) & (feeds[turn % feeds.size] == code)
    rows["recorded_us"][silent] = ((recorded_week[silent] + 1) * week_s + HOUR_S) * MICRO
