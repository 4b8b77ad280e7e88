"""The feeds behind the kinds: what part each has, how late it is known, and how long it is usually quiet.

A kind of record (ED, police) comes from several sources, each with a way of its own to deliver: one sends each record
at once, another a batch each morning or each Monday. What is expected to be known is worked out feed by feed, so that
a feed that is silent takes with it what was expected of it and no more, and a batch brings what its batch should.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from processors.arrays import KINDS, Bytes, Floats, Ints, Small
from processors.localtime import DAY_S, HOUR_S, HOURS_A_DAY, LocalHours
from processors.shares import LARGE_SHIFT, Places, find_rows
from schemas.located import LocatedArray, Status, pack_cell, pick

#: Records' worth of trust in what is known of a wider group: a feed in its kind, an hour of the day in its feed.
DELAY_STRENGTH: Final = 20.0
PART_STRENGTH: Final = 20.0
#: Part of a feed's incidents that is expected to be known at whatever age. A history may show nothing at all at young
#: ages; records that come sooner for once tell of their sender, not of violence, and must not score without bound.
LEAST_KNOWN: Final = 0.05
#: The parts of feeds are those of this many days: a site that closed last year has no part in what is expected now.
PART_DAYS: Final = 182
#: Delays and deliveries are those of this many days: how a source reports is how it reported last.
DELAY_DAYS: Final = 365
#: Records that come within this time of one another are one delivery.
DELIVERY_S: Final = 30 * 60
#: A feed delivers in batches when it makes fewer deliveries than this part of what independent records would make.
BATCH_PART: Final = 0.5
#: Silence is a gap of so many times the usual longest one; fewer deliveries than this say nothing of gaps.
SILENCE_TIMES: Final = 1.5
LEAST_DELIVERIES: Final = 20
#: The longest gaps of a history may have been silences themselves, and two are set aside.
LONGEST_GAPS: Final = 3
#: So long a pattern of deliveries is kept, whole weeks.
PATTERN_WEEKS: Final = 26
NO_TIMES: Final = np.zeros(0, np.int64)
LEAST_QUIET_S: Final = 6 * HOUR_S
#: A feed of which too little is known to call it silent.
NEVER_SILENT_S: Final = 3_650 * DAY_S


class Feeds(NamedTuple):
    """Feeds in the order of their kind, then of their source. F feeds."""

    kind: Bytes
    source: Small
    part: Floats
    """[large tile, last row elsewhere; F] part of its kind's incidents that a feed has; a kind's sum to 1."""
    part_of_all: Floats
    """[F] the same over the whole region."""
    known: Floats
    """[F, local hour of the day it happened in, whole hours of age] part of the incidents that is known.

    For a feed that delivers in batches the age is that at its last delivery.
    """
    batches: Bytes
    """[F] whether it delivers in batches."""
    quiet_s: Ints
    """[F] a feed of which nothing was heard for longer is silent."""
    deliveries: Ints
    """When the last deliveries of feeds that deliver in batches came, s before the fit; feed by feed."""
    delivered: Ints
    """[F + 1] where the deliveries of each feed begin."""

    @property
    def first(self) -> Ints:
        """Where the feeds of each kind begin; one more entry at the end."""
        return np.searchsorted(self.kind, np.arange(KINDS + 1)).astype(np.int64)

    @property
    def lag_s(self) -> Ints:
        """[F] a feed heard within this time is judged as of now, one that was not as of when it was heard."""
        return np.where(self.batches > 0, 0, self.quiet_s)

    @property
    def codes(self) -> Ints:
        """[F] the numbers of the feeds, as `codes_of` has them of rows."""
        numbers: Ints = self.kind.astype(np.int64) << 16 | self.source
        return numbers


def fit_feeds(
    rows: LocatedArray, places: Places, at: int, begin: int, end: int, oldest_s: int, local: LocalHours
) -> Feeds:
    """Learn from records that count: parts from event times in (begin, end], lateness from all of the last year."""
    occurred = np.ascontiguousarray(rows["occurred"])
    taught = pick(rows, (occurred > max(begin, end - DELAY_DAYS * DAY_S)) & (occurred <= end))
    code = codes_of(rows)[(occurred > begin) & (occurred <= end)]
    rows = pick(rows, occurred > max(begin, at - DELAY_DAYS * DAY_S))
    codes = np.flatnonzero(np.bincount(code))
    kind, source = (codes >> 16).astype(np.uint8), (codes & 0xFFFF).astype(np.int32)
    ages = -(-oldest_s // HOUR_S) + 1
    known = np.ones((codes.size, HOURS_A_DAY, ages))
    batches, quiet = np.zeros(codes.size, np.uint8), np.full(codes.size, NEVER_SILENT_S, np.int64)
    deliveries: list[Ints] = []
    everyone = codes_of(rows)
    late = delays(rows, at, ages, local)
    prompt = (np.arange(ages) == 0).astype(float)  # where nothing else is known, all is known at once
    of_kind = []
    for k in range(KINDS):
        came, at_risk = late.by_clock(np.flatnonzero(rows["kind"] == k))
        of_kind.append(shrunk(came.sum(axis=0), at_risk.sum(axis=0), prompt))
    for f, number in enumerate(codes):
        mine = np.flatnonzero(everyone == number)
        recorded = np.sort(rows["recorded_us"][mine] // 1_000_000)
        starts = recorded[np.diff(recorded, prepend=-NEVER_SILENT_S) > DELIVERY_S]
        batches[f] = _in_batches(recorded, starts)
        quiet[f] = _usual_quiet(starts)
        if batches[f]:
            deliveries.append(starts[starts > at - PATTERN_WEEKS * 7 * DAY_S] - at)
            known[f] = known_at_deliveries(pick(rows, mine[rows["occurred"][mine] <= end]), recorded, ages)
        else:
            deliveries.append(starts[:0])
            known[f] = known_by_age(late, mine, of_kind[kind[f]])
    part = _parts(taught, codes_of(taught), codes, places, end)
    begins = np.cumsum([0, *(times.size for times in deliveries)])
    return Feeds(kind, source, part, part[-1], known, batches, quiet, np.concatenate([NO_TIMES, *deliveries]), begins)


def last_heard(rows: LocatedArray, feeds: Feeds) -> Ints:
    """[F] the latest record of each feed, s; 0 where there is none."""
    heard = np.zeros(feeds.kind.size, np.int64)
    codes = codes_of(rows)
    for f, code in enumerate(feeds.codes.tolist()):
        heard[f] = rows["recorded_us"][codes == code].max(initial=0) // 1_000_000
    return heard


def known_by_age(delays: Delays, mine: Ints, above: Floats) -> Floats:
    """Part of the records known by each age, by the local hour of the day of the event: [hour of the day, age].

    Each hour's hazards are shrunk to those of the feed, and these to `above`, the kind's.
    """
    came, at_risk = delays.by_clock(mine)
    feed = shrunk(came.sum(axis=0), at_risk.sum(axis=0), above)
    # P(delay ≤ age), relative to the oldest age: the product of 1 - hazard over all older ages.
    left = np.cumprod(1.0 - shrunk(came, at_risk, feed)[:, :0:-1], axis=1)[:, ::-1]
    return np.concatenate([left, np.ones((HOURS_A_DAY, 1))], axis=1)


def shrunk(came: Floats, at_risk: Floats, above: Floats) -> Floats:
    """Reverse-time hazards: of what was known by an age, the part that became known in its last hour."""
    hazard: Floats = (came + DELAY_STRENGTH * above) / (at_risk + DELAY_STRENGTH)
    return hazard


class Delays(NamedTuple):
    """From event to record in whole hours, of the records that were never revised: the store keeps newest revisions.

    Of what is known now, late records are missing the more the younger they are; looked at backwards in time they are
    not (right truncation; Lagakos, Barraj and De Gruttola 1988, eq. 2).
    """

    late: Ints
    """Hours rounded up; as `ages` where there are more."""
    age: Ints
    """Hours since the event now; as `ages` where there are more."""
    clock: Ints
    ages: int

    def by_clock(self, mine: Ints) -> tuple[Floats, Floats]:
        """Of some records, how many came at each delay and how many could have by then: [clock, delay]."""
        shape = (HOURS_A_DAY, self.ages + 1)
        place = self.clock[mine] * shape[1]
        near = self.late[mine] < self.ages
        came = np.bincount((place + self.late[mine])[near], minlength=shape[0] * shape[1]).reshape(shape)[:, :-1]
        young = np.bincount((place + self.age[mine])[near], minlength=shape[0] * shape[1]).reshape(shape)[:, :-1]
        at_risk = np.cumsum(came, axis=1) - np.cumsum(young, axis=1) + young  # the young ones are at risk themselves
        return came.astype(float), at_risk.astype(float)


def delays(rows: LocatedArray, at: int, ages: int, local: LocalHours) -> Delays:
    """Delays of all rows; a revised one counts as later than all ages."""
    if not rows.size:
        return Delays(NO_TIMES, NO_TIMES, NO_TIMES, ages)
    late = np.maximum(-(-(rows["recorded_us"] - rows["occurred"] * 1_000_000) // (HOUR_S * 1_000_000)), 0)
    late = np.where(rows["status"] == Status.RECORDED, np.minimum(late, ages), ages)
    hour = rows["occurred"] // HOUR_S
    first = int(hour.min())
    clock = local.hours(first, int(hour.max())).clock[hour - first].astype(np.int64)
    age = np.maximum((at - rows["occurred"]) // HOUR_S, late)
    return Delays(late, np.minimum(age, ages), clock, ages)


def known_at_deliveries(rows: LocatedArray, recorded: Ints, ages: int) -> Floats:
    """Part of the records that a delivery has brought or finds brought, by their age then: [any hour of the day, age].

    It only rises with age. Each record that was never revised is asked at every delivery since it happened.
    """
    rows = pick(rows, rows["status"] == Status.RECORDED)
    deliveries = recorded[np.diff(recorded, append=2**62) > DELIVERY_S]  # the end of each
    begin = np.searchsorted(deliveries, rows["occurred"])
    end = np.searchsorted(deliveries, rows["occurred"] + (ages - 1) * HOUR_S)
    asked = np.repeat(np.arange(rows.size), end - begin)
    delivery = np.arange(asked.size) - np.repeat(np.cumsum(end - begin) - (end - begin), end - begin) + begin[asked]
    age = (deliveries[delivery] - rows["occurred"][asked]) // HOUR_S
    there = deliveries[delivery] >= rows["recorded_us"][asked] // 1_000_000
    n = np.bincount(age, minlength=ages)[:ages].astype(float)
    known = np.bincount(age, there, ages)[:ages].astype(float)
    asked_at = np.flatnonzero(n)
    if not asked_at.size:
        return np.ones((HOURS_A_DAY, ages))
    rising = _rising(known[asked_at], n[asked_at])
    return np.tile(np.interp(np.arange(ages), asked_at, rising), (HOURS_A_DAY, 1))


def _rising(part: Floats, whole: Floats) -> Floats:
    """The rising sequence nearest to part by whole: neighbours that fall are pooled (Ayer et al. 1955)."""
    pools: list[tuple[float, float, int]] = []
    for some, every in zip(part.tolist(), whole.tolist(), strict=True):
        pool = (some, every, 1)
        while pools and pools[-1][0] * pool[1] >= pool[0] * pools[-1][1]:
            before = pools.pop()
            pool = (before[0] + pool[0], before[1] + pool[1], before[2] + pool[2])
        pools.append(pool)
    return np.repeat([some / every for some, every, _ in pools], [count for _, _, count in pools])


def _in_batches(recorded: Ints, starts: Ints) -> bool:
    if recorded.size < LEAST_DELIVERIES:
        return False
    rate = recorded.size / max(int(recorded[-1] - recorded[0]), 1)
    return bool(starts.size < BATCH_PART * recorded.size * np.exp(-rate * DELIVERY_S))


def _usual_quiet(starts: Ints) -> int:
    """Seconds without a word after which a feed is silent."""
    if starts.size < LEAST_DELIVERIES:
        return NEVER_SILENT_S
    gaps = np.sort(np.diff(starts))
    return max(int(SILENCE_TIMES * gaps[-LONGEST_GAPS]), LEAST_QUIET_S)


def _parts(taught: LocatedArray, code: Ints, codes: Ints, places: Places, end: int) -> Floats:
    """Parts by large tile, shrunk to those of the region; rows of a kind without any are even."""
    recent = taught["occurred"] > end - PART_DAYS * DAY_S
    x, y = (taught[axis][recent].astype(np.int64) >> LARGE_SHIFT for axis in ("ix", "iy"))
    tile = find_rows(places.large, pack_cell(x, y))
    feed = np.searchsorted(codes, code[recent])
    tiles = places.large.size
    counts = np.bincount(tile[tile >= 0] * codes.size + feed[tile >= 0], minlength=tiles * codes.size)
    by_tile = np.append(counts, np.zeros(codes.size, np.int64)).reshape(tiles + 1, codes.size).astype(float)
    part = np.ones_like(by_tile)
    for k in range(KINDS):
        mine = codes >> 16 == k
        if mine.any():
            everywhere = by_tile[:, mine].sum(axis=0) + 1.0
            everywhere /= everywhere.sum()
            of_kind = by_tile[:, mine].sum(axis=1, keepdims=True)
            part[:, mine] = (by_tile[:, mine] + PART_STRENGTH * everywhere) / (of_kind + PART_STRENGTH)
    return part


class Heard:
    """When each feed last gave a sign of life: the latest of its records, whatever became of them."""

    def __init__(self) -> None:
        self._latest: dict[int, int] = {}
        self._places: dict[int, int] = {}
        self.of_feeds: Ints = NO_TIMES
        """[F] of the feeds last asked for, s; kept up to date in place."""

    def hear(self, rows: LocatedArray) -> None:
        """Take in rows as they arrive. A record may have happened after it was recorded, where a clock is wrong."""
        recorded = rows["recorded_us"] // 1_000_000
        latest = np.where(rows["status"] == Status.WITHDRAWN, recorded, np.maximum(recorded, rows["occurred"]))
        for code, when in zip(codes_of(rows).tolist(), latest.tolist(), strict=True):
            if when > self._latest.get(code, -NEVER_SILENT_S):
                self._latest[code] = when
                if code in self._places:
                    self.of_feeds[self._places[code]] = when

    def follow(self, feeds: Feeds | None) -> Ints:
        """Have `of_feeds` be of these feeds from now on."""
        codes = [] if feeds is None else feeds.codes.tolist()
        self._places = {code: place for place, code in enumerate(codes)}
        self.of_feeds = np.array([self._latest.get(code, 0) for code in codes], np.int64)
        return self.of_feeds

    def state(self) -> dict[str, int]:
        """What must survive a restart."""
        return {str(code): when for code, when in sorted(self._latest.items())}

    def restore(self, state: dict[str, int]) -> None:
        """Go on from a state."""
        self._latest = {int(code): when for code, when in state.items()}


def codes_of(rows: LocatedArray) -> Ints:
    """A number for the feed of each row: its kind, then its source."""
    codes: Ints = rows["kind"].astype(np.int64) << 16 | rows["source"]
    return codes
