"""The heart of a region, driven as the agents drive it: records in, alerts out."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from alerts.handling import precision
from alerts.monitor import LookOutcome, RegionMonitor
from alerts.schedule import ReplaySchedule
from schemas.alert import AlertReason, EpisodeState
from schemas.base import moment
from schemas.detection import DAY_S, HOUR_S
from schemas.episodes import Outcome
from schemas.feedback import Acknowledge, Ask, Assign, Conclude, FeedbackResult, Mute
from schemas.located import LOCATED, Kind, LocatedArray, Status
from tests.builders import hampshire
from tests.builders_monitor import CENTRE, NOW, SETTINGS, everything, hotspot, only, quiet, restored, said, withdrawn

GOLDEN = Path(__file__).parent / "golden" / "alert.json"


@pytest.fixture(scope="module")
def quiet_parts() -> dict[str, bytes]:
    """State of a region with its background and a calibration, to start tests from."""
    return quiet()


@pytest.fixture
def monitor() -> RegionMonitor:
    """A calibrated region. What must always hold of its alerts is checked after the test (tests/conftest.py)."""
    return restored(quiet())


def test_an_alert_is_as_it_always_was(monitor: RegionMonitor) -> None:
    """The whole alert against a file; make it again on purpose only (delete it, and run this)."""
    monitor.apply(hotspot())
    alert = json.loads(only(monitor.look(NOW)).model_dump_json())
    if not GOLDEN.exists():
        GOLDEN.write_text(json.dumps(alert, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        pytest.fail(f"{GOLDEN.name} was made anew: read it, and commit it if it is right")
    assert alert == json.loads(GOLDEN.read_text(encoding="utf-8"))


def test_a_hotspot_opens_an_episode_once(monitor: RegionMonitor) -> None:
    monitor.apply(hotspot())
    alert = only(monitor.look(NOW))
    assert (alert.reason, alert.state, alert.revision) == (AlertReason.OPENED, EpisodeState.EMERGING, 1)
    assert alert.evidence == "both"
    assert sum(alert.observed.values()) >= 6
    assert abs(alert.window.easting - (CENTRE[0] + 13) * 250) <= alert.window.radius_m
    assert [monitor.look(NOW + minutes * 60).alerts for minutes in (1, 15, 60)] == [(), (), ()]


def test_without_a_hotspot_nothing_is_said(monitor: RegionMonitor) -> None:
    assert monitor.look(NOW).alerts == ()


def test_withdrawing_all_its_records_retracts_an_episode(monitor: RegionMonitor) -> None:
    rows = hotspot()
    monitor.apply(rows)
    opened = only(monitor.look(NOW))
    monitor.apply(withdrawn(rows))
    alert = only(monitor.look(NOW + HOUR_S))
    assert (alert.reason, alert.state) == (AlertReason.EVIDENCE_WITHDRAWN, EpisodeState.RETRACTED)
    assert (alert.episode_id, alert.revision) == (opened.episode_id, 2)
    assert alert.headline.startswith("Taken back")
    assert sum(alert.observed.values()) <= 1
    assert monitor.episodes == {}
    assert monitor.look(NOW + 2 * HOUR_S).alerts == ()


def test_withdrawing_a_record_of_many_corrects_what_was_told(monitor: RegionMonitor) -> None:
    rows = hotspot(15)
    monitor.apply(rows)
    opened = only(monitor.look(NOW))
    monitor.apply(withdrawn(rows[:1]))
    alert = only(monitor.look(NOW + HOUR_S))
    assert alert.reason is AlertReason.EVIDENCE_WITHDRAWN
    assert alert.state is not EpisodeState.RETRACTED
    assert sum(alert.observed.values()) == sum(opened.observed.values()) - 1


def test_an_episode_closes_after_a_day_below(monitor: RegionMonitor) -> None:
    monitor.apply(hotspot(5))
    opened = only(monitor.look(NOW))
    alerts = [alert for day in range(1, 40) for alert in monitor.look(NOW + day * DAY_S).alerts]
    assert [alert.episode_id for alert in alerts] == [opened.episode_id] * len(alerts)
    assert alerts[-1].reason is AlertReason.CLOSED
    assert monitor.episodes == {}


def test_it_goes_on_after_a_restart_as_if_it_had_never_stopped(quiet_parts: dict[str, bytes]) -> None:
    """Snapshots after every step, restored at every step, against one that is never stopped."""
    steady = RegionMonitor(hampshire(), SETTINGS)
    steady.restore(quiet_parts)
    parts = dict(quiet_parts)
    rows = hotspot(8)
    gone = withdrawn(rows)
    for step, batch in enumerate([rows[:3], rows[3:6], rows[6:], gone[:2], gone[2:]]):
        moment = NOW + step * HOUR_S
        restarted = RegionMonitor(hampshire(), SETTINGS)
        restarted.restore(parts)
        restarted.apply(batch)
        steady.apply(batch)
        assert restarted.look(moment) == steady.look(moment)
        parts.update(restarted.snapshot())
        parts = {name: part for name, part in parts.items() if part}


def test_under_the_replay_clock_batches_and_interleaving_change_nothing(quiet_parts: dict[str, bytes]) -> None:
    """The same revisions in one batch of each input, or one by one in turns: the same looks, the same alerts."""
    rows = hotspot(10)
    ordered = rows[np.argsort(rows["recorded_us"])]
    ends = [(np.empty(0, LOCATED), (int(kind), 0), (NOW + DAY_S) * 1_000_000) for kind in Kind]
    whole = [(ordered[ordered["kind"] == kind], (int(kind), 0), NOW * 1_000_000) for kind in Kind]
    singly = [
        (ordered[i : i + 1], (int(ordered["kind"][i]), 0), int(ordered["recorded_us"][i])) for i in range(len(ordered))
    ]

    def run(batches: list[list[tuple[LocatedArray, tuple[int, int], int]]]) -> list[LookOutcome]:
        monitor = RegionMonitor(hampshire(), SETTINGS)
        monitor.restore(quiet_parts)
        schedule = ReplaySchedule(frozenset((int(kind), 0) for kind in Kind), 900)
        monitor._schedule = schedule
        return [look for batch in batches for look in monitor.advance(batch, 0)[1]]

    together = run([whole + ends])
    apart = run([[batch] for batch in singly] + [ends])
    assert together == apart
    assert sum(len(look.alerts) for look in together) >= 1


def test_what_a_backlog_took_back_is_not_forgotten_by_a_crash_before_the_look(monitor: RegionMonitor) -> None:
    """Applied, saved, and killed before the look: whoever takes over retracts."""
    rows = hotspot()
    monitor.apply(rows)
    opened = only(monitor.look(NOW))
    parts = monitor.snapshot() | everything(monitor)
    monitor.apply(withdrawn(rows))
    parts |= monitor.snapshot()
    other = RegionMonitor(hampshire(), SETTINGS)
    other.restore({name: part for name, part in parts.items() if part})
    alert = only(other.look(NOW + HOUR_S))
    assert (alert.episode_id, alert.state) == (opened.episode_id, EpisodeState.RETRACTED)


# --- people ---------------------------------------------------------------------------------------------------------


def test_feedback_is_applied_once_and_in_the_order_in_which_it_was_said(quiet_parts: dict[str, bytes]) -> None:
    """Any order, twice, with restarts between: the same state, and the same answers."""
    results = []
    for turn in (1, -1):
        monitor = RegionMonitor(hampshire(), SETTINGS)
        monitor.restore(quiet_parts)
        monitor.apply(hotspot())
        alert = only(monitor.look(NOW))
        batch = [
            said(Assign(team="licensing"), alert, name="a", hours=1),
            said(Assign(team="city-nights"), alert, name="b", hours=2),
            said(Conclude(outcome=Outcome.GENUINE_NEW), alert, name="c", hours=3),
            said(Acknowledge(), alert, name="a", hours=2.5),  # an id that was used already
        ]
        for one in (batch[:3] if turn == 1 else batch[2::-1]) + [batch[0]]:
            monitor.feedback(one)
        again = RegionMonitor(hampshire(), SETTINGS)
        again.restore({name: part for name, part in everything(monitor).items() if part})
        outcome = again.look(NOW + 4 * HOUR_S)
        assert outcome.alerts == ()
        (episode,) = again.episodes.values()
        results.append((outcome.feedback, episode.people))
        again.feedback(batch[0])
        assert again.look(NOW + 5 * HOUR_S).feedback == ()
        assert "CANARY" not in again.snapshot()["episodes"].decode()
    assert results[0] == results[1]
    taken, people = results[0]
    assert [(one.feedback_id, one.result) for one in taken] == [(name, FeedbackResult.APPLIED) for name in "abc"]
    assert (people.team, people.outcome) == ("city-nights", Outcome.GENUINE_NEW)


def test_who_asks_is_answered_and_the_answer_says_what_people_did(monitor: RegionMonitor) -> None:
    monitor.apply(hotspot())
    opened = only(monitor.look(NOW))
    monitor.feedback(said(Acknowledge(), opened, name="a"))
    monitor.feedback(said(Ask(), opened, name="b", hours=2))
    assert monitor.look(NOW + HOUR_S).alerts == ()
    answer = only(monitor.look(NOW + 2 * HOUR_S))
    assert (answer.reason, answer.revision) == (AlertReason.ASKED, 2)
    assert answer.people.acknowledged_at == moment(NOW + HOUR_S)
    assert "CANARY" not in answer.model_dump_json()


def test_a_muted_place_is_listed_and_holds_what_opens_there_until_it_ends(monitor: RegionMonitor) -> None:
    """The episode is muted and withdrawn; the same opens again at its place, held, and is told when the mute ends."""
    rows = hotspot()
    monitor.apply(rows)
    first = only(monitor.look(NOW))
    monitor.feedback(said(Mute(until=moment(NOW) + timedelta(hours=30)), first))
    monitor.look(NOW + HOUR_S)
    assert [mute.episode_id for mute in monitor.mutes()] == [first.episode_id]
    monitor.apply(withdrawn(rows))
    gone = only(monitor.look(NOW + 2 * HOUR_S))
    assert (gone.state, gone.muted) == (EpisodeState.RETRACTED, False)  # taken back aloud
    again = rows.copy()
    again["record"] += 5_000
    monitor.apply(again)
    held = only(monitor.look(NOW + 3 * HOUR_S))
    assert (held.reason, held.muted, held.muted_until) == (AlertReason.OPENED, True, monitor.mutes()[0].until)
    assert "held by a mute" in held.paragraphs[6].text
    assert [monitor.look(NOW + hours * HOUR_S).alerts for hours in (12, 21, 29)] == [(), (), ()]
    told = only(monitor.look(NOW + 31 * HOUR_S))
    assert (told.reason, told.muted, told.episode_id) == (AlertReason.MUTE_ENDED, False, held.episode_id)
    assert monitor.mutes() == ()


def test_what_escalates_beyond_a_mute_is_told_and_ends_it(monitor: RegionMonitor) -> None:
    rows = hotspot(20)
    monitor.apply(rows[:5])
    first = only(monitor.look(NOW))
    monitor.feedback(said(Mute(until=moment(NOW) + timedelta(days=20)), first))
    monitor.look(NOW + HOUR_S)
    monitor.apply(rows[5:])
    louder = only(monitor.look(NOW + 2 * HOUR_S))
    assert (louder.reason, louder.muted, louder.muted_until) == (AlertReason.ESCALATED, False, None)
    assert monitor.mutes() == ()


def test_of_an_episode_that_is_over_only_the_outcome_can_be_told(monitor: RegionMonitor) -> None:
    rows = hotspot()
    monitor.apply(rows)
    first = only(monitor.look(NOW))
    monitor.apply(withdrawn(rows))
    monitor.look(NOW + HOUR_S)
    monitor.feedback(said(Acknowledge(), first, name="a", hours=2))
    monitor.feedback(said(Conclude(outcome=Outcome.EXPLAINED), first, name="b", hours=2))
    elsewhere = first.model_copy(update={"episode_id": "hampshire-20200101T000000Z-00000000"})
    monitor.feedback(said(Acknowledge(), elsewhere, name="c", hours=2))
    outcome = monitor.look(NOW + 2 * HOUR_S)
    assert [one.result for one in outcome.feedback] == [
        FeedbackResult.EPISODE_OVER,
        FeedbackResult.APPLIED,
        FeedbackResult.UNKNOWN_EPISODE,
    ]
    assert [(past.episode_id, past.outcome) for past in monitor.memory.past] == [(first.episode_id, Outcome.EXPLAINED)]
    assert precision(monitor.memory.past) == (0, 1)


def test_what_is_told_is_of_the_look_also_when_the_detector_ran_ahead(quiet_parts: dict[str, bytes]) -> None:
    """Records that are amended and withdrawn at later looks of the same run: alerts as if each look had been alone."""
    rows = hotspot(12)
    rows["recorded_us"] = (NOW - 20 * HOUR_S + np.arange(12) * 1_800) * 1_000_000
    amended = rows[:4].copy()
    amended["revision"], amended["status"], amended["weight"] = 2, Status.AMENDED, 2
    amended["recorded_us"] += 9 * HOUR_S * 1_000_000
    gone = withdrawn(rows[4:6])
    gone["recorded_us"] = (NOW - 2 * HOUR_S + np.arange(2) * 60) * 1_000_000
    everybody = np.concatenate([rows, amended, gone])
    everybody = everybody[np.argsort(everybody["recorded_us"], kind="stable")]
    ends = [(np.empty(0, LOCATED), (int(Kind.POLICE), 0), (NOW + DAY_S) * 1_000_000)]

    def run(size: int) -> list[LookOutcome]:
        monitor = RegionMonitor(hampshire(), SETTINGS)
        monitor.restore(quiet_parts)
        monitor._schedule = ReplaySchedule(frozenset({(int(Kind.POLICE), 0)}), 900)
        looks = []
        for start in range(0, everybody.size, size):
            batch = everybody[start : start + size]
            looks += monitor.advance([(batch, (int(Kind.POLICE), 0), int(batch["recorded_us"][-1]))], 0)[1]
        return looks + monitor.advance(ends, 0)[1]

    together = run(everybody.size)
    assert together == run(1)
    assert sum(len(look.alerts) for look in together) >= 2
