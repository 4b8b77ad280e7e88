"""Identifiers that pass are those of a slow twin, and none of them holds what names a person."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.identifiers import are_impersonal, are_record_ids
from schemas.personal import personal_data_in

# The twin: up to nine digits, however they are written, or eleven and more in one piece, between hard characters.
SOFT = r"[\x00-\x20().-]"
HARD = r"[^\d@+\x00-\x20().-]"
DIGITS = rf"(?:\d(?:{SOFT}*\d){{0,8}}|[1-9]\d{{10,}})"
TWIN = re.compile(
    rf"(?:{SOFT}|{HARD})*?(?:{DIGITS}(?:{SOFT}*{HARD}(?:{SOFT}|{HARD})*{DIGITS})*(?:{SOFT}|{HARD})*)?", re.A
)
UUID = re.compile(r"(?:urn:uuid:)?[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}(?::[0-9]{1,3})?")
RECORD_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]*")


def is_impersonal(text: str) -> bool:
    plain = text.isascii() and "\n" not in text and text != ""
    return plain and bool(TWIN.fullmatch(text) or UUID.fullmatch(text))


TEXTS = st.lists(
    st.one_of(
        st.text(alphabet="0123456789 .-()+:/_@aZé٣\n\t", max_size=24),
        st.text(alphabet="0123456789", max_size=14),
        st.uuids().map(str),
        st.uuids().map(lambda uuid: uuid.urn.upper()),
        st.from_regex(UUID, fullmatch=True, alphabet=st.characters(codec="ascii")),
        st.from_regex(r"\A[a-z]{0,2}[0-9]{7,12}[ .:-]?[0-9]{0,4}\Z"),
        st.from_regex(r"\A\(?0?7\d{3}[ -]?\d{6}\Z"),
        st.text(max_size=5),
    ),
    max_size=6,
)


@settings(max_examples=500, deadline=None)  # the first compiles
@given(TEXTS)
def test_the_kernel_judges_as_its_twin(texts: list[str]) -> None:
    expected = [is_impersonal(text) for text in texts]
    assert are_impersonal(texts).tolist() == expected
    formed = [bool(RECORD_ID.fullmatch(text)) for text in texts]
    assert are_record_ids(texts).tolist() == [a and b for a, b in zip(expected, formed, strict=True)]


@settings(max_examples=600, deadline=None)
@given(TEXTS)
def test_no_impersonal_text_holds_a_personal_datum(texts: list[str]) -> None:
    found = zip(texts, are_impersonal(texts).tolist(), strict=True)
    assert [text for text, passed in found if passed and personal_data_in(text, dates=False)] == []


@pytest.mark.parametrize(
    ("text", "passes"),
    [
        ("P-2001", True),
        ("2026/123456/01", True),
        ("44260123456", True),
        ("04426012345", False),
        ("943 476 5919", False),
        ("07700 900123", False),
        ("+4479460", False),
        ("a.b@example.org", False),
        ("40000000-0000-4000-8000-000000000000:12", True),
        ("40000000-0000-4000-8000-000000000000:1234", False),
        ("", False),
    ],
)
def test_identifiers_as_they_come(text: str, passes: bool) -> None:
    assert are_impersonal([text]).tolist() == [passes]


def test_no_text_of_many_shifts_the_others() -> None:
    assert are_impersonal(["P-1", "P\n2", "é", "P-3"]).tolist() == [True, False, False, True]
    assert are_impersonal([]).tolist() == []
