"""The benchmarks of the stream: what they publish is what they say, and their figures follow from what was seen."""

from __future__ import annotations

import json
from datetime import timedelta

from bench.holder import areas
from bench.latency import Place, Sent, hotspots, latencies, places_in
from bench.messages import batches, singles
from bench.soak import Sample, growth
from bench.throughput import COMPARED, UNITS, keyed_by_cell
from schemas.alert import AlertReason, alert_event
from schemas.located import Kind
from schemas.settings import Settings
from streams.desks import Registry
from streams.incident_file import SourceMessage
from streams.ingest import RawMessage, take_in
from tests.builders import GUILDHALL_METRES, NOW, alert, ed_event, hampshire, police_event, raw, window

SETTINGS = Settings()


def messages() -> list[SourceMessage]:
    """Five records of each kind in turn."""
    return [
        SourceMessage(kind, f"k{number}".encode(), raw(event(record_id=f"R-{number}")), NOW)
        for number in range(5)
        for kind, event in ((Kind.ED, ed_event), (Kind.POLICE, police_event))
    ]


def test_batches_hold_the_records_of_the_single_messages() -> None:
    one_each = list(singles(messages(), SETTINGS))
    together = list(batches(messages(), SETTINGS, size=2))
    assert [len(json.loads(message.value)) for message in together] == [2, 2, 2, 2, 1, 1]
    for topic in {message.topic for message in one_each}:
        of_batches = [event for message in together if message.topic == topic for event in json.loads(message.value)]
        assert of_batches == [json.loads(message.value) for message in one_each if message.topic == topic]


def test_quix_is_given_all_records_with_their_cells() -> None:
    event = police_event(place=dict(GUILDHALL_METRES))
    given = [SourceMessage(Kind.POLICE, b"k", raw(event), NOW)]
    (message,) = keyed_by_cell(given, SETTINGS)
    assert (message.key, json.loads(message.value)) == (b"1767/448", event)


def test_each_ratio_has_a_unit() -> None:
    assert UNITS.keys() == COMPARED.keys()


def test_areas_have_sources_of_their_own() -> None:
    found = Registry(areas(3))
    assert len(found.source_ids) == len(set(found.source_ids)) == 3 * len(hampshire().sources)


def test_batches_that_make_hotspots_are_accepted_and_lie_apart() -> None:
    places = places_in(hampshire())
    assert len(places) >= 10
    made = [batch for _, (_, makes, batch) in zip(range(3), hotspots(places), strict=False) if makes]
    for batch in made:
        found = take_in(
            Kind.POLICE,
            [RawMessage(batch, ())],
            Registry([hampshire()]),
            NOW + timedelta(days=36_500),
            max_bytes=1_000_000,
            tolerance_s=600,
        )
        assert not found.refusals
        assert (found.rows["hampshire"]["gate"] == 0).all()


def test_a_latency_is_that_from_a_batch_to_the_first_alert_of_its_kind_at_its_place() -> None:
    police = "hampshire/police"
    here, there = Place("hampshire", police, 0, 1_000.0, 1_000.0), Place("hampshire", police, 1, 9_000.0, 1_000.0)
    opened = alert_event(alert(window=window(easting=1_000.0, northing=1_100.0)))
    withdrawn = alert_event(
        alert(reason=AlertReason.EVIDENCE_WITHDRAWN, window=window(easting=1_000.0, northing=1_100.0))
    )
    sent = [Sent(10.0, here, True), Sent(11.0, there, True), Sent(20.0, here, False)]
    read = [(9.0, opened), (10.05, opened), (10.5, opened), (20.2, withdrawn)]
    assert [round(latency) for latency in latencies(sent, read)] == [50, 200]


def test_memory_that_grows_is_seen() -> None:
    early, late = growth([Sample(float(n), 500.0 + 10 * n, 0) for n in range(50)])
    assert late - early > 200
    flat = growth([Sample(float(n), 500.0, 0) for n in range(50)])
    assert flat == (500.0, 500.0)
