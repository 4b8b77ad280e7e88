"""Personal data in short texts: what must be found, and what must pass."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from schemas.personal import is_nhs_number, personal_data_in
from schemas.reasons import RejectReason

NHS_NUMBERS = ["9434765919", "943 476 5919", "943-476-5919", "943.476.5919", "4010232137", "1234567881"]
#: The check digit of each is wrong, or would have to be ten.
NOT_NHS_NUMBERS = ["9434765918", "943 476 5910", "4010232138", "1234567890", "4010232170"]

PHONES = [
    "07700 900123",
    "07700900123",
    "07700-900-123",
    "07700.900.123",
    "0 7700 900123",
    "+44 7700 900123",
    "+447700900123",
    "0044 7700 900 123",
    "+44 (0)23 8077 7222",
    "(023) 8077 7222",
    "(023)80777222",
    "02380777222",
    "01962 841 841",
    "01204 52123",
    "0800 123 4567",
    "+1 312 555 0142",
    "312-555-0142",
    "(312) 555-0142",
    "312.555.0142",
    "+33 1 42 68 53 00",
]
E_MAILS = ["jo@example.org", "j.o-smith+ed@mail.example.co.uk", "JO_SMITH@EXAMPLE.COM", "1@example.io"]
DATES = [
    "12/03/1985",
    "1/3/1985",
    "12-03-1985",
    "12.03.85",
    "12 03 1985",
    "3/12/85",
    "03/25/1985",
    "1985-03-12",
    "1985/03/12",
    "12 March 1985",
    "12th March 1985",
    "1st of March, 1985",
    "12 mar 85",
    "12-Mar-1985",
    "12MAR1985",
    "March 12, 1985",
    "Mar 12th 1985",
]
ORDINARY = [
    "",
    "na",
    "- -",
    "A34",
    "M27 J5",
    "outside nandos at the top epsom high street kt19",
    "sainsbury on wandsworth road sw8",
    "Whitechapel, E1",
    "Black Lion pub on Commercial Road",
    "SO14 7DU",
    "PO1 2AB",
    "SO14 7DU, opposite 123-125",
    "0000X W MADISON ST",
    "047XX S 12TH ST",
    "1200 block of N State St",
    "Flat 12, 34-36 Above Bar Street",
    "1-3 24 hour shop",
    "5/6 London Road",
    "24/7 gym",
    "10 Market 2000 hall",
    "between 23:30 and 02:15",
    "two men, 20-25 years",
    "SU 41234 12345",
    "E 441234 N 112345",
    "441234.5,112345.5",
    "50.904012,-1.404312",
    "51.0712345678",
    "UPRN 100062038490",
    "4th of July fair",
    "May 2019",
    "stabbed @ the station",
    "offence 8/06",
    "105A",
    "248062006",
]
ORDINARY_IDS = [
    "CHI-000001",
    "MEM-15213800",
    "44260012345",
    "44/2026/12345",
    "RHM01-20260301-0007",
    "2026-03-01/17",
    "RHM01:2026:000123",
    "P7:1",
    "b2f7c0de-5a3e-4f2b-9d1c-0a1b2c3d4e5f",
    "heartbeat:2026-03-01T12:00:00+00:00",
]
#: A digit beside a number makes it another number, and an e-mail address would be told of first.
AROUND = st.text(st.characters(exclude_categories=("Nd", "Cs"), exclude_characters="@"), max_size=30)


def check_digit(nine: str) -> int:
    """The tenth digit of an NHS number as the NHS Data Dictionary describes it; 10 where there is none."""
    weighted = 0
    for place, digit in enumerate(nine):
        weighted += int(digit) * (10 - place)
    return (11 - weighted % 11) % 11 if weighted % 11 != 1 else 10


def nhs_numbers() -> st.SearchStrategy[str]:
    """Valid NHS numbers, in the ways in which people write them."""
    nine = st.text("0123456789", min_size=9, max_size=9).filter(lambda digits: check_digit(digits) != 10)
    ten = nine.map(lambda digits: f"{digits}{check_digit(digits)}")
    separators = st.sampled_from(["", " ", "-", ".", "\u00a0", "  "])
    return st.builds(lambda digits, by: f"{digits[:3]}{by}{digits[3:6]}{by}{digits[6:]}", ten, separators)


@pytest.mark.parametrize("number", NHS_NUMBERS)
def test_an_nhs_number_is_found(number: str) -> None:
    assert personal_data_in(number) is RejectReason.PERSONAL_NHS_NUMBER
    assert personal_data_in(f"pt NHS no:{number}, via ambulance") is RejectReason.PERSONAL_NHS_NUMBER
    assert personal_data_in(f"ref 12 {number}", dates=False) is RejectReason.PERSONAL_NHS_NUMBER


@pytest.mark.parametrize("number", NOT_NHS_NUMBERS)
def test_ten_digits_with_another_check_digit_are_no_nhs_number(number: str) -> None:
    assert not is_nhs_number(number.replace(" ", ""))
    assert personal_data_in(f"log {number} of today") is not RejectReason.PERSONAL_NHS_NUMBER


@pytest.mark.parametrize("text", ["19434765919", "94347659190", "0009434765919"])
def test_ten_digits_of_a_longer_number_are_no_nhs_number(text: str) -> None:
    assert personal_data_in(text) is not RejectReason.PERSONAL_NHS_NUMBER


@given(st.text("0123456789", min_size=9, max_size=9))
@example("401023217")  # the remainder for which no number is issued
def test_exactly_one_check_digit_is_right(nine: str) -> None:
    right = [digit for digit in range(10) if is_nhs_number(f"{nine}{digit}")]
    assert right == ([check_digit(nine)] if check_digit(nine) != 10 else [])


@given(AROUND, nhs_numbers(), AROUND)
def test_any_valid_nhs_number_in_any_text_is_found(before: str, number: str, after: str) -> None:
    assert personal_data_in(before + number + after, dates=False) is RejectReason.PERSONAL_NHS_NUMBER


@pytest.mark.parametrize("phone", PHONES)
def test_a_phone_number_is_found(phone: str) -> None:
    assert personal_data_in(phone) is RejectReason.PERSONAL_PHONE_NUMBER
    assert personal_data_in(f"friend of the pt on {phone}.") is RejectReason.PERSONAL_PHONE_NUMBER
    assert personal_data_in(f"call me.{phone} (mob)") is RejectReason.PERSONAL_PHONE_NUMBER


@pytest.mark.parametrize("address", E_MAILS)
def test_an_e_mail_address_is_found(address: str) -> None:
    assert personal_data_in(address) is RejectReason.PERSONAL_EMAIL
    assert personal_data_in(f"statement from <{address}>, waiting") is RejectReason.PERSONAL_EMAIL


@pytest.mark.parametrize("date", DATES)
def test_a_full_date_is_found_in_texts_and_let_be_in_identifiers(date: str) -> None:
    assert personal_data_in(date) is RejectReason.PERSONAL_BIRTH_DATE
    assert personal_data_in(f"male DOB {date}, assaulted") is RejectReason.PERSONAL_BIRTH_DATE
    assert personal_data_in(f"born {date}: a child") is RejectReason.PERSONAL_BIRTH_DATE
    assert personal_data_in(date, dates=False) is None


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary_texts_pass(text: str) -> None:
    assert personal_data_in(text) is None


@pytest.mark.parametrize("identifier", ORDINARY_IDS)
def test_ordinary_identifiers_pass(identifier: str) -> None:
    assert personal_data_in(identifier, dates=False) is None


@given(st.text(max_size=600))
def test_a_search_always_ends_with_a_personal_reason_or_none(text: str) -> None:
    found = personal_data_in(text)
    assert found is None or found.value.startswith("personal_")
