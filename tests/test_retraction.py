"""Withdrawing all records of an episode retracts it, also after its end, wherever it was told."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alerts.comparisons import late_share
from alerts.monitor import LookOutcome, RegionMonitor
from alerts.receiving import tell
from alerts.routing import Ledger, decide, not_before
from alerts.schedule import ReplaySchedule
from processors.detector import KEEP_DAYS
from schemas.alert import Alert, AlertReason, EpisodeState
from schemas.base import moment
from schemas.delivery import DeliveryResult, DisclosedEvent, Verdict
from schemas.detection import DAY_S, HOUR_S
from schemas.episodes import Outcome
from schemas.feedback import Conclude, FeedbackResult
from schemas.located import LOCATED, Kind, LocatedArray, Status
from tests.builders import detection
from tests.builders_delivery import MAIL, discloser, fact, route
from tests.builders_monitor import CENTRE, NOW, SETTINGS, everything, hotspot, only, quiet, restored, said, withdrawn
from tests.receivers import http_receiver
from tests.test_route_work import Shelf, arrivals, run

COUNT = 9


@cache
def closed_story() -> tuple[dict[str, bytes], tuple[Alert, ...], int]:
    """State of a region in which the hotspot opened an episode that has closed; its alerts; and when that was, s."""
    monitor = restored(quiet())
    monitor.apply(hotspot(COUNT))
    told = list(monitor.look(NOW).alerts)
    day = 0
    while monitor.episodes:
        day += 1
        told += monitor.look(NOW + day * DAY_S).alerts
    return everything(monitor), tuple(told), NOW + day * DAY_S


@pytest.fixture
def monitor() -> RegionMonitor:
    """A region in which the episode is closed."""
    return restored(closed_story()[0])


@pytest.fixture
def end() -> int:
    """When it closed, s."""
    return closed_story()[2]


@pytest.fixture
def story() -> list[Alert]:
    """What was told of it until then."""
    return list(closed_story()[1])


# --- after its end --------------------------------------------------------------------------------------------------


def test_withdrawing_all_records_retracts_what_is_closed_and_a_part_of_them_does_not(
    monitor: RegionMonitor, story: list[Alert], end: int
) -> None:
    """
    days    0        ...   closed   1 (four of nine withdrawn)   2 (the others)   3
    told    opened         closed   -                            retracted        -
    """
    assert [alert.reason for alert in story] == [AlertReason.OPENED, AlertReason.CLOSED]
    rows = hotspot(COUNT)
    monitor.apply(withdrawn(rows[:4], end + DAY_S))
    assert monitor.look(end + DAY_S).alerts == ()
    monitor.apply(withdrawn(rows[4:], end + 2 * DAY_S))
    gone = only(monitor.look(end + 2 * DAY_S))
    assert (gone.episode_id, gone.revision) == (story[0].episode_id, 3)
    assert (gone.state, gone.reason) == (EpisodeState.RETRACTED, AlertReason.EVIDENCE_WITHDRAWN)
    assert (gone.window, sum(gone.observed.values())) == (story[-1].window, 0)
    assert [passage.state.value for passage in gone.history] == ["emerging", "closed", "retracted"]
    assert gone.headline.startswith("Taken back: ") and not gone.muted
    assert [(past.episode_id, past.state) for past in monitor.memory.past] == [
        (gone.episode_id, EpisodeState.RETRACTED)
    ]
    monitor.apply(hotspot(COUNT))  # the first revisions again: they are older than the withdrawals
    assert monitor.look(end + 3 * DAY_S).alerts == ()


def test_amending_them_away_retracts_it_too(monitor: RegionMonitor, end: int) -> None:
    moved = hotspot(COUNT)
    moved["revision"], moved["status"] = 2, Status.AMENDED
    moved["ix"] -= 200
    moved["recorded_us"] = (end + DAY_S) * 1_000_000
    monitor.apply(moved)
    alerts = [alert for alert in monitor.look(end + DAY_S).alerts if alert.reason is not AlertReason.OPENED]
    assert [alert.state for alert in alerts] == [EpisodeState.RETRACTED]


def test_it_can_be_retracted_as_long_as_its_records_are_kept_and_is_forgotten_then(end: int) -> None:
    first = min(ground.as_of - ground.span_s for kept in restored(closed_story()[0]).closed for ground in kept.grounds)
    last = first + (SETTINGS.baseline_days + KEEP_DAYS) * DAY_S
    assert last > end + 300 * DAY_S
    for at, alerts in ((last, 1), (last + 1, 0)):
        monitor = restored(closed_story()[0])
        monitor.apply(withdrawn(hotspot(COUNT), at))
        told = monitor.look(at).alerts
        assert [alert.state for alert in told] == [EpisodeState.RETRACTED] * alerts
        assert len(monitor.closed) == 0
        assert [name for name, part in monitor.snapshot().items() if name.startswith("closed/") and part] == []


def test_what_is_gone_already_is_not_told_again(monitor: RegionMonitor, end: int) -> None:
    """One that was retracted while it was open is not kept, and one is retracted once."""
    open_one = restored(quiet())
    open_one.apply(hotspot(COUNT))
    open_one.look(NOW)
    open_one.apply(withdrawn(hotspot(COUNT)))
    assert only(open_one.look(NOW + HOUR_S)).state is EpisodeState.RETRACTED
    assert len(open_one.closed) == 0
    monitor.apply(withdrawn(hotspot(COUNT), end + DAY_S))
    assert len(monitor.look(end + DAY_S).alerts) == 1
    again = hotspot(COUNT)
    again["revision"] = 3  # they count once more, and go once more
    monitor.apply(again)
    monitor.look(end + 2 * DAY_S)
    again["revision"] = 4
    monitor.apply(withdrawn(again, end + 3 * DAY_S))
    assert [a for a in monitor.look(end + 3 * DAY_S).alerts if a.reason is AlertReason.EVIDENCE_WITHDRAWN] == []


def test_an_outcome_that_was_told_after_the_end_is_in_the_retraction(monitor: RegionMonitor, end: int) -> None:
    (over,) = monitor.closed
    hours = (end - NOW) / HOUR_S
    opened = closed_story()[1][0]
    monitor.feedback(said(Conclude(outcome=Outcome.EXPLAINED), opened, hours=hours + 1))
    (taken,) = monitor.look(end + HOUR_S).feedback
    assert taken.result is FeedbackResult.APPLIED
    again = restored(closed_story()[0] | monitor.snapshot())
    again.apply(withdrawn(hotspot(COUNT), end + DAY_S))
    gone = only(again.look(end + DAY_S))
    assert (gone.episode_id, gone.people.outcome) == (over.episode_id, Outcome.EXPLAINED)
    assert [past.outcome for past in again.memory.past] == [Outcome.EXPLAINED]


# --- restarts, order, replay ----------------------------------------------------------------------------------------


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.permutations(range(COUNT)), st.lists(st.integers(1, COUNT - 1), max_size=4), st.booleans(), st.booleans())
def test_whatever_the_order_of_withdrawals_looks_and_restarts_it_is_retracted_once(
    order: list[int], cuts: list[int], restarts: bool, crashes: bool
) -> None:
    """Withdrawals in any order and in any batches, with a look after each, and another worker after each or amid it."""
    parts, _, end = closed_story()
    rows = hotspot(COUNT)[np.array(order)]
    monitor = restored(parts)
    told: list[Alert] = []
    edges = [0, *sorted(set(cuts)), COUNT]
    for n, (first, last) in enumerate(pairwise(edges)):
        at = end + (n + 1) * HOUR_S
        monitor.apply(withdrawn(rows[first:last], at))
        if crashes:  # applied and saved, and killed before the look
            parts = parts | monitor.snapshot()
            monitor = restored(parts)
        told += monitor.look(at).alerts
        if restarts:
            parts = parts | monitor.snapshot()
            monitor = restored(parts)
    assert [(alert.revision, alert.state) for alert in told] == [(3, EpisodeState.RETRACTED)]
    assert len(monitor.closed) == 0
    assert monitor.calibration is not None and told[0].score < monitor.calibration.threshold


def test_a_worker_that_takes_over_goes_on_as_if_there_had_been_no_other(monitor: RegionMonitor, end: int) -> None:
    """Byte for byte: the same alerts, and the same parts of the state."""
    parts = dict(closed_story()[0])
    gone = withdrawn(hotspot(COUNT), end + DAY_S)
    for n, batch in enumerate((gone[:3], gone[3:6], gone[6:])):
        other = restored(parts)
        for one in (monitor, other):
            one.apply(batch)
        at = end + (n + 1) * DAY_S
        assert other.look(at) == monitor.look(at)
        mine, theirs = monitor.snapshot(), other.snapshot()
        assert {name: part for name, part in mine.items() if theirs.get(name) != part} == {}
        parts |= theirs
    assert [name for name, part in parts.items() if name.startswith("closed/") and part] == []


def test_a_state_from_before_closed_episodes_were_kept_can_be_read(end: int) -> None:
    """They stay closed: what was told of them is not in it."""
    parts = {name: part for name, part in closed_story()[0].items() if not name.startswith("closed/")}
    old = restored(parts)
    old.apply(withdrawn(hotspot(COUNT), end + DAY_S))
    assert old.look(end + DAY_S).alerts == ()
    assert [past.state for past in old.memory.past] == [EpisodeState.CLOSED]


def drizzle(days: int) -> LocatedArray:
    """A record every twelve hours somewhere far away: each calls for a look of a replay."""
    rows = np.zeros(2 * days, LOCATED)
    rows["record"] = np.arange(2_000_000, 2_000_000 + rows.size)
    rows["revision"] = rows["weight"] = rows["kind"] = 1
    rows["ix"], rows["iy"] = CENTRE[0] - 300 - 40 * np.arange(rows.size), CENTRE[1] + 300
    rows["occurred"] = NOW + np.arange(rows.size) * 12 * HOUR_S
    rows["recorded_us"] = (rows["occurred"] + 600) * 1_000_000
    return rows


def test_under_the_replay_clock_batches_change_nothing(end: int) -> None:
    """Opened, closed and taken back within one run of looks, or each look by itself: the same alerts."""
    days = (end - NOW) // DAY_S + 4
    rows = hotspot(COUNT)
    gone = withdrawn(rows, NOW + (days - 2) * DAY_S)
    gone["recorded_us"] += np.arange(COUNT) * 1_200 * 1_000_000
    everybody = np.concatenate([rows, drizzle(days), gone])
    everybody = everybody[np.argsort(everybody["recorded_us"], kind="stable")]
    source = (int(Kind.POLICE), 0)

    def looks(size: int) -> list[LookOutcome]:
        monitor = restored(quiet())
        monitor._schedule = ReplaySchedule(frozenset({source}), 900)
        found = []
        for start in range(0, everybody.size, size):
            batch = everybody[start : start + size]
            found += monitor.advance([(batch, source, int(batch["recorded_us"][-1]))], 0)[1]
        return found + monitor.advance([(everybody[:0], source, (NOW + days * DAY_S) * 1_000_000)], 0)[1]

    together = looks(everybody.size)
    assert together == looks(1)
    ends = [alert.state for look in together for alert in look.alerts if alert.state.is_over]
    assert ends == [EpisodeState.CLOSED, EpisodeState.RETRACTED]


# --- wherever it was told -------------------------------------------------------------------------------------------


@pytest.fixture
def whole_story(monitor: RegionMonitor, story: list[Alert], end: int) -> list[Alert]:
    """Opened, closed and taken back a day later."""
    monitor.apply(withdrawn(hotspot(COUNT), end + DAY_S))
    return [*story, only(monitor.look(end + DAY_S))]


NIGHT = {"begins": "00:00", "ends": "23:59"}


@pytest.mark.parametrize(
    ("rules", "muted", "sent"),
    [
        ({}, (False, False), [1, 2, 3]),
        ({"reasons": ("opened",), "states": ("emerging",)}, (False, False), [1, 2, 3]),
        ({"sink": MAIL}, (False, True), [1, 3]),  # the end was held by a mute, the retraction is not
        ({"sink": MAIL}, (True, True), []),
        ({"min_recurrence_days": 1_000_000}, (False, False), []),
        ({"regions": ("kent",)}, (False, False), []),
    ],
    ids=["all", "openings only", "a mute at the end", "always muted", "too common", "another region"],
)
def test_routes_that_were_told_of_it_hear_of_it_and_no_others(
    whole_story: list[Alert], rules: dict[str, object], muted: tuple[bool, bool], sent: list[int]
) -> None:
    way, ledger, found = route(**rules), Ledger(), []
    for alert, held in zip(whole_story, (*muted, False), strict=True):
        one = alert.model_copy(update={"muted": held})
        told = ledger.told(way.id, one.episode_id)
        verdict = decide(one, way, told)
        result = DeliveryResult.SENT if verdict.is_sent else DeliveryResult.SKIPPED
        ledger.take([fact(one.revision, result, verdict=verdict, episode_id=one.episode_id)])
        if verdict.is_sent:
            found.append(one.revision)
    assert found == sent


def test_the_public_hears_of_it_and_no_quiet_hours_hold_it(whole_story: list[Alert]) -> None:
    way = route(audience="public", quiet=NIGHT)
    gone = whole_story[-1]
    told = Ledger().take([fact(1, episode_id=gone.episode_id), fact(2, episode_id=gone.episode_id)])
    known = told.told(way.id, gone.episode_id)
    now = datetime.fromisoformat("2026-03-02T12:00:00+00:00")
    assert not_before(gone, way, now, now, known, discloser()._zone) == now
    shown = tell(gone, way, known, discloser())
    assert shown is not None and shown.state is EpisodeState.RETRACTED
    assert shown.headline.startswith("Taken back: ")


async def test_a_receiver_gets_the_retraction_after_the_end(whole_story: list[Alert]) -> None:
    """Over HTTP, by a worker that was started again after the end was delivered."""
    shelf = Shelf()
    async with http_receiver() as receiver:
        await run(shelf, receiver, arrivals(whole_story[:2]))
        await run(shelf, receiver, arrivals(whole_story))
        last = DisclosedEvent.model_validate_json(receiver.requests[-1].body).data
    assert receiver.keys == [f"{alert.episode_id}.{alert.revision}" for alert in whole_story]
    assert last.state is EpisodeState.RETRACTED
    assert [fact.verdict for fact in shelf.facts] == [Verdict.SEND, Verdict.FOLLOW_UP, Verdict.FOLLOW_UP]


# --- what is said of it ---------------------------------------------------------------------------------------------


def test_what_is_late_is_told_as_of_the_alert_and_not_of_its_window() -> None:
    """Of a window that ended two months ago nearly all is known by now."""
    monitor = restored(quiet())
    baseline = monitor.detector.baseline
    assert baseline is not None
    window = detection(ix=CENTRE[0], iy=CENTRE[1], as_of=NOW)
    heard = tuple(NOW + 60 * DAY_S for _ in range(baseline.feeds.kind.size))
    then = late_share(baseline, heard, window, NOW, monitor.detector.local)
    later = late_share(baseline, heard, window, NOW + 60 * DAY_S, monitor.detector.local)
    assert all(later[kind] <= then[kind] for kind in then)
    assert max(later.values()) <= 0.001


def test_a_retraction_says_when_it_was_over_and_asks_for_no_review(whole_story: list[Alert]) -> None:
    gone = whole_story[-1]
    assert gone.review_at is None
    assert gone.expires_at == gone.as_of + timedelta(days=1)
    assert gone.state_since == gone.as_of == moment(closed_story()[2] + DAY_S)
