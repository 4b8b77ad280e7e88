"""Finds personal data in short texts, so that what a partner must not send is refused at the door."""

from __future__ import annotations

import re

from schemas.reasons import RejectReason

#: Without a digit or an @ none of the patterns below can match; most texts have neither.
_SUSPICIOUS = re.compile(r"[\d@]")
#: An identifier in this form is random: digits that look like a number of a person are chance.
_UUID = re.compile(r"(?:urn:uuid:)?[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}(?::\d{1,3})?", re.IGNORECASE)
_EMAIL = re.compile(r"[\w.+-]+@[\w-]+\.[\w.-]*\w")
_TEN_DIGITS = re.compile(r"(?<!\d)\d{3}[\s.-]{0,2}\d{3}[\s.-]{0,2}\d{4}(?!\d)")
_PHONE = re.compile(
    r"(?<!\d)(?<!\d\.)(?:"
    r"(?:\+|00)[1-9](?:[ ().-]{0,2}\d){7,13}"  # international
    r"|0[ -]?[12378]\d(?:[ ().-]{0,2}\d){7,8}"  # Britain: 01, 02, 03, 07, 08, never written with a gap after them
    r"|\(?[2-9]\d{2}\)?[ .-][2-9]\d{2}[ .-]\d{4}"  # North America, written with separators
    r")(?!\d)"
)
_MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?"
    r"|nov(?:ember)?|dec(?:ember)?)(?![a-z])"
)
_DATE = re.compile(
    r"(?<!\d)(?:"
    r"(?:0?[1-9]|[12]\d|3[01])[/.\- ](?:0?[1-9]|1[0-2])[/.\- ](?:19|20)\d\d(?!\d)"
    r"|(?:0?[1-9]|[12]\d|3[01])([/.\- ])(?:0?[1-9]|1[0-2])\1\d\d(?!\d)"
    r"|(?:0?[1-9]|1[0-2])/(?:0?[1-9]|[12]\d|3[01])/(?:19|20)\d\d(?!\d)"
    r"|(?:19|20)\d\d[/.\-](?:0[1-9]|1[0-2])[/.\-](?:0[1-9]|[12]\d|3[01])(?!\d)"
    rf"|(?:0?[1-9]|[12]\d|3[01])(?:st|nd|rd|th)?[ .-]?(?:of )?{_MONTH}[ .,-]*(?:(?:19|20)\d\d(?!\d)|'?\d\d(?!:?\d))"
    rf"|{_MONTH}[ .-]*(?:0?[1-9]|[12]\d|3[01])(?:st|nd|rd|th)?[ ,.-]+(?:19|20)\d\d(?!\d)"
    r")",
    re.IGNORECASE,
)


def is_nhs_number(digits: str) -> bool:
    """Whether ten digits carry the check digit of an NHS number (modulus 11, NHS Data Dictionary)."""
    remainder = 11 - sum(int(digit) * weight for digit, weight in zip(digits, range(10, 1, -1), strict=False)) % 11
    return remainder != 10 and int(digits[9]) == remainder % 11


def personal_data_in(text: str, *, dates: bool = True) -> RejectReason | None:
    """The first kind of personal datum that a text holds, or None.

    Identifiers are searched without `dates`: many record numbers are built from a date of recording.
    """
    if not _SUSPICIOUS.search(text) or (not dates and _UUID.fullmatch(text)):
        return None
    if _EMAIL.search(text):
        return RejectReason.PERSONAL_EMAIL
    for match in _TEN_DIGITS.finditer(text):
        if is_nhs_number(re.sub(r"\D", "", match.group())):
            return RejectReason.PERSONAL_NHS_NUMBER
    if _PHONE.search(text):
        return RejectReason.PERSONAL_PHONE_NUMBER
    if dates and _DATE.search(text):
        return RejectReason.PERSONAL_BIRTH_DATE
    return None
