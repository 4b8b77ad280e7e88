"""Each format of an alert, whole, as its receiver reads it; and the rules of its standard."""

from __future__ import annotations

import json
from datetime import timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args
from xml.etree import ElementTree as ET

import pytest

from alerts.formats.atom import atom
from alerts.formats.cap import cap
from alerts.formats.geojson import geojson
from alerts.formats.mail import digest, immediate
from alerts.formats.signature import SecretError, key_of_secret, signed
from alerts.formats.teams import MOST_BYTES, teams
from schemas.alert import AlertReason, EpisodeState, Paragraph
from schemas.delivery import disclosed_event
from schemas.disclosure import Audience, Disclosed
from tests.builders import NOW, hampshire
from tests.builders_delivery import SECRET, earlier, plainly, told
from tests.cap_rules import CAP, faults

GOLDEN = Path(__file__).parent / "golden" / "formats"
SENDER = "hotspot@vrp.example.org"
MAILBOXES = ["analysts@vrp.example.org", "chair@vrp.example.org"]
ZONE = hampshire().zone
ATOM = "{http://www.w3.org/2005/Atom}"
GROWN: dict[str, Any] = {"revision": 2, "state": EpisodeState.GROWING, "reason": AlertReason.ESCALATED}
CLOSED: dict[str, Any] = {"revision": 2, "state": EpisodeState.CLOSED, "reason": AlertReason.CLOSED, "review_at": None}
RETRACTED: dict[str, Any] = {
    "revision": 2,
    "state": EpisodeState.RETRACTED,
    "reason": AlertReason.EVIDENCE_WITHDRAWN,
    "review_at": None,
}
AUDIENCES: tuple[Audience, ...] = get_args(Audience)


# --- snapshots ------------------------------------------------------------------------------------------------------


def mail_text(mail: EmailMessage) -> bytes:
    """As it is sent, but for the boundary, which is drawn anew for each."""
    mail.set_boundary("=-=-=")
    return mail.as_bytes()


def plain(audience: Audience = "police", **fields: Any) -> Disclosed:
    """With a text that stays when the words of alerts change."""
    return plainly(told(audience, **fields))


SNAPSHOTS: dict[str, bytes] = {
    "opened.cap.xml": cap(plain(), SENDER, []),
    "escalated-simulated.cap.xml": cap(plain(**GROWN, simulated=True), SENDER, earlier(1)),
    "closed.cap.xml": cap(plain(**CLOSED), SENDER, earlier(1)),
    "retracted.cap.xml": cap(plain(**RETRACTED), SENDER, earlier(1)),
    "opened-public.cap.xml": cap(plain("public", evidence="police_only"), SENDER, []),
    "opened-health.event.json": disclosed_event(plain("health")).model_dump_json(indent=2).encode(),
    "opened-partnership.event.json": disclosed_event(plain("partnership")).model_dump_json(indent=2).encode(),
    "two.geojson": geojson([plain("health"), plain(episode_id="hampshire-2", **GROWN)]),
    "two.atom.xml": atom(
        [plain(), plain(episode_id="hampshire-2", simulated=True, as_of=NOW + timedelta(hours=1))],
        "analysts",
        "Unusual violence in Hampshire",
        "https://hotspot.example.org/feeds/analysts.atom",
        NOW,
    ),
    "opened.card.json": json.dumps(json.loads(teams(plain())), indent=2, ensure_ascii=False).encode(),
    "opened.eml": mail_text(immediate(plain(), SENDER, MAILBOXES, "analysts")),
    "digest.eml": mail_text(
        digest(
            [plain(), plain(**GROWN), plain(episode_id="hampshire-2", **{**RETRACTED, "revision": 3})],
            SENDER,
            MAILBOXES,
            "meeting",
            NOW + timedelta(days=1),
            ZONE,
        )
    ),
}


@pytest.mark.parametrize("name", SNAPSHOTS)
def test_each_format_is_as_it_was_read(name: str) -> None:
    path = GOLDEN / name
    if not path.exists():
        path.write_bytes(SNAPSHOTS[name])
        pytest.fail(f"{name} was made anew: read it, and commit it if it is right")
    assert SNAPSHOTS[name] == path.read_bytes()


def test_there_is_no_snapshot_of_what_is_gone() -> None:
    assert {path.name for path in GOLDEN.iterdir()} == set(SNAPSHOTS)


# --- CAP 1.2 --------------------------------------------------------------------------------------------------------

STORIES: dict[str, tuple[dict[str, Any], int]] = {
    "opened": ({}, 0),
    "grown": (GROWN, 1),
    "grown, told for the first time": (GROWN, 0),
    "closed": (CLOSED, 1),
    "retracted": (RETRACTED, 1),
    "retracted after many": ({**RETRACTED, "revision": 8}, 7),
    "simulated": ({"simulated": True}, 0),
    "no place and no outline": ({"place": "", "grid_reference": "", "polygons": ()}, 0),
    "no handling": ({"handling": ""}, 0),
    "marks of XML": ({"place": "near <Bow & Arrow>", "handling": 'a "b" & <c>'}, 0),
}


@pytest.mark.parametrize("audience", AUDIENCES)
@pytest.mark.parametrize(("fields", "before"), STORIES.values(), ids=STORIES)
def test_cap_messages_keep_the_rules_of_the_schema(audience: Audience, fields: dict[str, Any], before: int) -> None:
    message = cap(told(audience, evidence="police_only", **fields), SENDER, earlier(before))
    assert faults(message) == []
    root = ET.fromstring(message)
    assert root.findtext(f"{CAP}status") == ("Exercise" if fields.get("simulated") else "Actual")
    assert root.findtext(f"{CAP}scope") == ("Public" if audience == "public" else "Restricted")
    assert len((root.findtext(f"{CAP}references") or "").split()) == before


@pytest.mark.parametrize(
    ("fields", "before", "kind", "response"),
    [
        ({}, 0, "Alert", "Assess"),
        (GROWN, 0, "Alert", "Assess"),
        (GROWN, 1, "Update", "Assess"),
        (CLOSED, 1, "Update", "AllClear"),
        (RETRACTED, 1, "Cancel", "AllClear"),
    ],
)
def test_kinds_of_cap_message(fields: dict[str, Any], before: int, kind: str, response: str) -> None:
    root = ET.fromstring(cap(told(**fields), SENDER, earlier(before)))
    assert (root.findtext(f"{CAP}msgType"), root.findtext(f"{CAP}info/{CAP}responseType")) == (kind, response)


def test_cap_refers_to_what_was_said_in_the_same_words() -> None:
    first = ET.fromstring(cap(told(), SENDER, []))
    name = ",".join(first.findtext(f"{CAP}{part}", "") for part in ("sender", "identifier", "sent"))
    second = ET.fromstring(cap(told(**GROWN), SENDER, [(1, told().as_of)]))
    assert second.findtext(f"{CAP}references") == name


BROKEN = {
    "an element twice": ("<sender>", "<sender>x</sender><sender>"),
    "an element is missing": ("<scope>Restricted</scope>", ""),
    "another order": (
        "<status>Actual</status>\n  <msgType>Alert</msgType>",
        "<msgType>Alert</msgType><status>Actual</status>",
    ),
    "a word that is none": (">Actual<", ">Real<"),
    "a time in Z": ("+00:00</sent>", "Z</sent>"),
    "an identifier with a space": ("<identifier>", "<identifier>a "),
    "restricted to nobody": (">Restricted<", ">Public<"),
    "an update of nothing": (">Alert<", ">Update<"),
    "an open polygon": ("<polygon>", "<polygon>50.0,-1.0 "),
    "longitude first": ("<polygon>", "<polygon>-1.0,150.0 "),
    "an unknown element": ("<event>", "<colour>red</colour><event>"),
    "another standard": ("cap:1.2", "cap:1.1"),
}


@pytest.mark.parametrize(("good", "bad"), BROKEN.values(), ids=BROKEN)
def test_the_rules_find_what_is_broken(good: str, bad: str) -> None:
    text = cap(told("health"), SENDER, []).decode()
    assert good in text
    assert faults(text.replace(good, bad).encode())


# --- GeoJSON and Atom -----------------------------------------------------------------------------------------------


def area(ring: list[list[float]]) -> float:
    """Twice the signed area: above 0 where a ring runs counter-clockwise."""
    return sum(x1 * y2 - x2 * y1 for (x1, y1), (x2, y2) in pairwise(ring))


def test_geojson_keeps_rfc_7946() -> None:
    found = json.loads(geojson([told("health"), told("partnership", episode_id="b")]))
    assert found["type"] == "FeatureCollection"
    assert "crs" not in found, "RFC 7946 has one system of coordinates"
    with_outline, without = found["features"]
    assert without["geometry"] is None, "who may not see the outline gets none"
    assert with_outline["geometry"]["type"] == "MultiPolygon"
    for polygon in with_outline["geometry"]["coordinates"]:
        for number, ring in enumerate(polygon):
            assert len(ring) >= 4
            assert ring[0] == ring[-1]
            assert (area(ring) > 0) == (number == 0)
            assert all(-180 <= x <= 180 and -90 <= y <= 90 for x, y in ring)
    assert [feature["id"] for feature in found["features"]] == [told().episode_id, "b"]


def test_an_empty_collection_and_an_empty_feed_are_whole() -> None:
    assert json.loads(geojson([])) == {"type": "FeatureCollection", "features": []}
    root = ET.fromstring(atom([], "a", "Nothing", "", NOW))
    assert root.findtext(f"{ATOM}updated") == "2026-03-01T12:00:00Z"
    assert root.findall(f"{ATOM}entry") == []


def test_an_episode_is_one_entry_whose_id_stays() -> None:
    def entries(*found: Disclosed) -> list[tuple[str, str]]:
        root = ET.fromstring(atom(found, "a", "Title", "", NOW))
        return [
            (entry.findtext(f"{ATOM}id", ""), entry.findtext(f"{ATOM}updated", ""))
            for entry in root.findall(f"{ATOM}entry")
        ]

    later = told(**GROWN, as_of=NOW + timedelta(days=1))
    assert entries(told())[0][0] == entries(later)[0][0]
    assert entries(told())[0][1] < entries(later)[0][1]
    assert len({name for name, _ in entries(told(), told(episode_id="b"))}) == 2


def test_atom_has_what_rfc_4287_asks_for() -> None:
    root = ET.fromstring(SNAPSHOTS["two.atom.xml"])
    assert root.tag == f"{ATOM}feed"
    for name in ("id", "title", "updated", "author"):
        assert len(root.findall(f"{ATOM}{name}")) == 1
    for entry in root.findall(f"{ATOM}entry"):
        for name in ("id", "title", "updated", "content"):
            assert len(entry.findall(f"{ATOM}{name}")) == 1
            assert entry.findtext(f"{ATOM}{name}")


# --- Teams ----------------------------------------------------------------------------------------------------------


def card_of(raw: bytes) -> dict[str, Any]:
    """The card within its envelope."""
    message = json.loads(raw)
    assert message["type"] == "message"
    (attachment,) = message["attachments"]
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    card: dict[str, Any] = attachment["content"]
    assert (card["type"], card["version"]) == ("AdaptiveCard", "1.4")
    return card


def test_a_long_text_is_cut_to_what_teams_takes() -> None:
    long = told().model_copy(
        update={
            "paragraphs": tuple(
                part if part.name != "history" else Paragraph("history", "History", "word " * 9000)
                for part in told().paragraphs
            )
        }
    )
    raw = teams(long)
    assert len(raw) <= MOST_BYTES
    assert long.headline in [block["text"] for block in card_of(raw)["body"]]


def test_names_of_places_are_no_markdown() -> None:
    body = card_of(teams(told("health", place="near *The [Red](http://x.example) Lion*")))["body"]
    assert any(r"\*The \[Red\](http://x.example) Lion\*" in block["text"] for block in body)


# --- e-mail ---------------------------------------------------------------------------------------------------------


def parsed(mail: EmailMessage) -> EmailMessage:
    """As a mail program reads it."""
    found = message_from_bytes(mail.as_bytes(), policy=SMTP)
    assert isinstance(found, EmailMessage)
    return found


def test_the_same_revision_is_the_same_message() -> None:
    one, again, other = (
        immediate(told(**fields), SENDER, MAILBOXES, "analysts")["Message-ID"] for fields in ({}, {}, GROWN)
    )
    assert one == again != other


def test_mail_holds_the_text_plain_and_as_html() -> None:
    mail = parsed(immediate(told("health", place="near <Bow & Arrow>"), SENDER, MAILBOXES, "analysts"))
    assert mail.get_content_type() == "multipart/alternative"
    plain, page = (part.get_content() for part in mail.iter_parts())
    assert "near <Bow & Arrow>" in plain
    assert "near &lt;Bow &amp; Arrow&gt;" in page
    assert "OFFICIAL-SENSITIVE" in plain
    assert "OFFICIAL-SENSITIVE" in page


def test_no_name_breaks_out_of_a_header() -> None:
    mail = immediate(told("health", place="near The Lion\r\nBcc: all@example.org"), SENDER, MAILBOXES, "analysts")
    assert parsed(mail)["Bcc"] is None


def test_a_digest_tells_each_episode_once_by_its_newest_revision() -> None:
    found = [told(), told(episode_id="hampshire-2"), told(**GROWN)]
    mail = parsed(digest(found, SENDER, MAILBOXES, "meeting", NOW, ZONE))
    plain = next(mail.iter_parts()).get_content()
    assert plain.count(found[2].headline) == 2, "in the list, and above its text"
    assert mail["X-Hotspot-Keys"].split() == [f"{one.episode_id}.{one.revision}" for one in found]


def test_a_simulated_digest_says_so_in_its_subject() -> None:
    mail = digest([told(simulated=True)], SENDER, MAILBOXES, "meeting", NOW, ZONE)
    assert mail["Subject"].startswith("[SIMULATED]")


def test_a_digest_of_nothing_is_not_made() -> None:
    with pytest.raises(ValueError, match="nothing"):
        digest([], SENDER, MAILBOXES, "meeting", NOW, ZONE)


# --- signatures -----------------------------------------------------------------------------------------------------


def test_the_example_of_standard_webhooks() -> None:
    """Made with the reference library of the standard from its own secret, id, time and body."""
    body = b'{"test": 2432232314}'
    key = key_of_secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    at = NOW.fromtimestamp(1614265330, NOW.tzinfo)
    assert signed(body, "msg_p5jXN8AQM9LWM0D4loKWxJek", at, key) == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_another_body_id_or_time_has_another_signature() -> None:
    key = key_of_secret(SECRET)
    found = {
        signed(body, name, at, key)["webhook-signature"]
        for body in (b"a", b"b")
        for name in ("a", "b")
        for at in (NOW, NOW + timedelta(seconds=1))
    }
    assert len(found) == 8


@pytest.mark.parametrize("bad", ["", "whsec_", "whsec_c2hvcnQ=", "whsec_???", "whsec_" + "A" * 200])
def test_a_secret_that_is_none_is_refused_and_not_told(bad: str) -> None:
    with pytest.raises(SecretError) as caught:
        key_of_secret(bad)
    assert not bad or bad not in str(caught.value)


# --- what no format holds -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("audience", ["police", "partnership", "public"])
def test_no_format_tells_exact_figures_of_health_to_others(audience: Audience) -> None:
    one = told(
        audience,
        evidence="police_only",
        observed={"ed": 6173, "police": 3},
        expected={"ed": 6171.25, "police": 0.3},
        score=6199.5,
    )
    outputs = [
        cap(one, SENDER, []),
        geojson([one]),
        atom([one], "a", "Title", "", NOW),
        teams(one),
        disclosed_event(one).model_dump_json().encode(),
        immediate(one, SENDER, MAILBOXES, "a").as_bytes(),
        digest([one], SENDER, MAILBOXES, "a", NOW, ZONE).as_bytes(),
    ]
    for output in outputs:
        for canary in (b"6173", b"6,173", b"6171", b"6,171", b"6199"):
            assert canary not in output
