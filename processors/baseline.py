"""The expectation: what is usual for any place and hour, learned from what was known when it was fitted."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from processors.arrays import BLOCKS, KINDS, Floats, Ints, Small
from processors.exposure import Rates
from processors.feeds import LEAST_KNOWN, Feeds, fit_feeds, last_heard
from processors.incidents import Incidents
from processors.localtime import BLOCK_OF_HOUR, DAY_S, HOUR_S, HOURS_A_DAY, Hours, LocalHours
from processors.past_episodes import PastEpisode, episode_weights
from processors.season import NEWEST_DAYS, Season, at_newest_level, fit_season
from processors.shares import Places, Shares, find_places, fit_shares
from schemas.detection import DetectionSettings
from schemas.located import LocatedArray

MIN_INCIDENTS: Final = 50
"""At least one kind must have shown so many before there is a baseline at all."""
MIN_OF_KIND: Final = 20
MIN_DAYS_OF_KIND: Final = 28
"""A kind with less is left out: no expectation, no score."""
_FORMAT: Final = 2


class Baseline(NamedTuple):
    """A fit at one moment. Kinds without enough history have no season, zero shares, and are not scored."""

    fitted_at: int
    seasons: tuple[Season | None, ...]
    places: Places
    shares: Shares
    share_variance: Floats
    """[seen cell, last row any unseen cell; kind] how unsure a cell's share is: variance by squared share."""
    feeds: Feeds
    incidents: Small
    """Incidents learned from, by kind."""
    of_cell: Small
    """[seen cell, kind] incidents learned from."""
    records: int
    """Counting records of the period learned from, as they then were."""

    def usual_in(self, ix: int, iy: int, radius_cells: int) -> tuple[int, ...]:
        """Incidents learned from in a disc, by kind."""
        x, y = self.places.ix.astype(np.int64) - ix, self.places.iy.astype(np.int64) - iy
        return tuple(self.of_cell[x * x + y * y <= radius_cells * radius_cells].sum(axis=0).tolist())

    @property
    def scored(self) -> tuple[bool, ...]:
        """Which kinds have an expectation."""
        return tuple(season is not None for season in self.seasons)

    def hourly(self, hours: Hours) -> Floats:
        """Expected incidents a second of the region, all known: [kind, hour]."""
        rate = np.zeros((KINDS, hours.day.size))
        for k, season in enumerate(self.seasons):
            if season is not None:
                rate[k] = season.rate(hours)
        return rate

    def rates(self, hours: Hours, heard: Ints) -> Rates:
        """Expected incidents a second over a run of hours by feed, each last heard at a moment (s)."""
        feeds = self.feeds
        silent = np.zeros(heard.size, np.uint8)
        of_feed = self.hourly(hours)[feeds.kind]
        return Rates(
            first=hours.first,
            rate=of_feed,
            block=hours.block,
            clock=hours.clock,
            part=hours.week_part,
            known=np.maximum(feeds.known, LEAST_KNOWN),
            kind=feeds.kind,
            source=feeds.source,
            heard=heard,
            lag_s=feeds.lag_s,
            quiet_s=feeds.quiet_s,
            silent=silent,
        )

    def yearly(self) -> tuple[float, ...]:
        """Incidents a year at the present level, by kind; 0 for a kind without a baseline."""
        return tuple(
            0.0 if season is None else float(np.exp(season.harmonics[0]) * season.level * 365)
            for season in self.seasons
        )


def taught_period(at: int, settings: DetectionSettings) -> tuple[int, int]:
    """What a fit learns from: event times in (first, second]."""
    return at - settings.baseline_days * DAY_S, at - settings.guard_days * DAY_S


def fit_baseline(
    found: Incidents,
    rows: LocatedArray,
    at: int,
    settings: DetectionSettings,
    local: LocalHours,
    episodes: Sequence[PastEpisode] = (),
) -> Baseline | None:
    """Learn from the incidents that occurred in (at - baseline, at - guard]; None while there is too little.

    `rows` are the records behind the incidents: they tell how late records are known. Incidents of past episodes teach
    the shares of places less.
    """
    begin, end = taught_period(at, settings)
    taught = (found.occurred > begin) & (found.occurred <= end)
    if not taught.any():
        return None
    history = Incidents(found.kind[taught], found.ix[taught], found.iy[taught], found.occurred[taught])
    per_kind = np.bincount(history.kind, minlength=KINDS)
    first = int(history.occurred.min())
    if end - first < settings.min_history_days * DAY_S or per_kind.max() < MIN_INCIDENTS:
        return None
    hours = local.hours(first // HOUR_S, end // HOUR_S)
    hour = history.occurred // HOUR_S - hours.first
    day, of_week = hours.day[hour], hours.of_week[hour]
    last_day = local.day(end) - 1  # the last local day that lies wholly before the guard gap
    seasons: list[Season | None] = [None] * KINDS
    for k in range(KINDS):
        mine = history.kind == k
        if per_kind[k] < MIN_OF_KIND or end - history.occurred[mine].min() < MIN_DAYS_OF_KIND * DAY_S:
            continue
        # A kind's history starts with its first incident; that day is only partly seen.
        first_day = int(day[mine].min()) + 1
        whole = np.flatnonzero((hours.day >= first_day) & (hours.day <= last_day))
        within = mine & (day >= first_day) & (day <= last_day)
        span = hours.part(slice(int(whole[0]), int(whole[-1]) + 1))
        named = len(local.holidays.names)
        seasons[k] = fit_season(history.occurred[within] // HOUR_S - span.first, span, settings.level_days, named)
    if all(season is None for season in seasons):
        return None
    fitted = np.array([season is not None for season in seasons])
    places, row = find_places(history.ix, history.iy)
    block = BLOCK_OF_HOUR[of_week]
    weight = episode_weights(history, hours.week_part[hour], episodes)
    shares, share_variance = fit_shares(places, row, history.kind, block, weight, _block_parts(seasons), fitted)
    feeds = fit_feeds(rows, places, at, begin, end, settings.spans_s[-1], local)
    for k, season in enumerate(seasons):
        if season is not None:
            occurred = found.occurred[found.kind == k]
            seasons[k] = _at_newest_level(season, occurred, feeds, k, last_heard(rows, feeds), at, local)
    records = int(((rows["occurred"] > begin) & (rows["occurred"] <= end)).sum())
    of_cell = np.bincount(row * KINDS + history.kind, minlength=places.ix.size * KINDS).reshape(-1, KINDS)
    counts = per_kind.astype(np.int32), of_cell.astype(np.int32)
    return Baseline(at, tuple(seasons), places, shares, share_variance, feeds, *counts, records)


def _at_newest_level(
    season: Season, occurred: Ints, feeds: Feeds, kind: int, heard: Ints, at: int, local: LocalHours
) -> Season:
    """The season at the level of the last days before `at`, as far as they can be known: feeds were last `heard`."""
    hours = local.hours(at // HOUR_S - NEWEST_DAYS * HOURS_A_DAY, at // HOUR_S - 1)
    ends = (hours.first + 1 + np.arange(hours.day.size)) * HOUR_S
    known = np.zeros(hours.day.size)
    for f in np.flatnonzero(feeds.kind == kind):
        until = at if at - heard[f] <= feeds.lag_s[f] else min(int(heard[f]), at)
        age = np.minimum((until - ends) // HOUR_S, feeds.known.shape[2] - 1)
        known += np.where(age >= 0, feeds.part_of_all[f] * feeds.known[f, hours.clock, np.maximum(age, 0)], 0.0)
    day = hours.day - hours.day[0]
    usual = np.bincount(day, season.rate(hours) * HOUR_S * known).astype(float)
    hour = occurred // HOUR_S - hours.first
    hour = hour[(hour >= 0) & (hour < hours.day.size)]
    return at_newest_level(season, np.bincount(day[hour], minlength=usual.size).astype(float), usual)


def _block_parts(seasons: list[Season | None]) -> Floats:
    """Part of a kind's incidents that falls into each block of an ordinary week."""
    parts = np.full((KINDS, BLOCKS), 1.0 / BLOCKS)
    for k, season in enumerate(seasons):
        if season is not None:
            parts[k] = np.bincount(BLOCK_OF_HOUR, season.week, BLOCKS) / season.week.sum()
    return parts


def to_bytes(baseline: Baseline) -> bytes:
    """An exact, repeatable packing: a line of JSON that names the arrays, then their bytes."""
    arrays: dict[str, NDArray[Any]] = {}
    levels: list[float | None] = []
    for k, season in enumerate(baseline.seasons):
        levels.append(None if season is None else season.level)
        if season is not None:
            arrays[f"harmonics{k}"], arrays[f"week{k}"] = season.harmonics, season.week
            arrays[f"holidays{k}"] = season.holidays
    arrays.update({f"place_{name}": value for name, value in baseline.places._asdict().items() if name != "n_large"})
    arrays.update({f"share_{name}": value for name, value in baseline.shares._asdict().items()})
    arrays.update({f"feed_{name}": value for name, value in baseline.feeds._asdict().items()})
    arrays.update(share_variance=baseline.share_variance, incidents=baseline.incidents, of_cell=baseline.of_cell)
    header = {
        "format": _FORMAT,
        "fitted_at": baseline.fitted_at,
        "levels": levels,
        "records": baseline.records,
        "n_large": baseline.places.n_large,
        "arrays": [[name, value.dtype.str, list(value.shape)] for name, value in arrays.items()],
    }
    body = b"".join(np.ascontiguousarray(value).tobytes() for value in arrays.values())
    return json.dumps(header, separators=(",", ":")).encode() + b"\n" + body


def from_bytes(packed: bytes) -> Baseline:
    """The baseline that `to_bytes` packed."""
    line, _, body = packed.partition(b"\n")
    header = json.loads(line)
    if header["format"] != _FORMAT:
        raise ValueError(f"a packed baseline has format {header['format']}, this program reads {_FORMAT}")
    arrays: dict[str, NDArray[Any]] = {}
    offset = 0
    for name, dtype, shape in header["arrays"]:
        n = int(np.prod(shape, dtype=np.int64))
        arrays[name] = np.frombuffer(body, np.dtype(dtype), n, offset).reshape(shape).copy()
        offset += arrays[name].nbytes
    if offset != len(body):
        raise ValueError(f"a packed baseline holds {len(body)} bytes where its header says {offset}")
    seasons = tuple(
        None
        if level is None
        else Season(arrays[f"harmonics{k}"], float(level), arrays[f"week{k}"], arrays[f"holidays{k}"])
        for k, level in enumerate(header["levels"])
    )
    tiles = {name: arrays[f"place_{name}"] for name in Places._fields if name != "n_large"}
    places = Places(n_large=int(header["n_large"]), **tiles)
    shares = Shares(**{name: arrays[f"share_{name}"] for name in Shares._fields})
    return Baseline(
        header["fitted_at"],
        seasons,
        places,
        shares,
        arrays["share_variance"],
        Feeds(**{name: arrays[f"feed_{name}"] for name in Feeds._fields}),
        arrays["incidents"],
        arrays["of_cell"],
        header["records"],
    )
