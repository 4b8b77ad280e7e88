"""Judges many identifiers at once: in which of them no number of a person and no address can be hidden."""

from __future__ import annotations

import string
from collections.abc import Sequence
from typing import Final

import numpy as np
from numba import njit

from processors.arrays import Bools, Bytes
from processors.lines import NEWLINE, count_lines, lines_of


def _table(signs: str) -> Bools:
    table = np.zeros(256, np.bool_)
    table[list(signs.encode())] = True
    return table


_HYPHEN, _COLON, _ZERO = ord("-"), ord(":"), ord("0")
_DIGITS: Final = _table(string.digits)
_HEX: Final = _table(string.hexdigits)
_MARKS: Final = _table("._:/-")
_OF_RECORD_IDS: Final = _table(string.ascii_letters + string.digits + "._:/-")
#: Numbers of persons are written with these between their digits.
_SOFT: Final = _table("().-" + "".join(map(chr, range(ord(" ") + 1))))
#: Addresses have an @, numbers with the code of a country a plus. What is not ASCII may be a digit, or a space.
_ODD: Final = _table("@+")
_ODD[0x80:] = True
_PREFIX: Final = np.frombuffer(b"urn:uuid:", np.uint8)
#: Numbers of persons have ten digits or more, or eight behind a plus.
_FEW: Final = 9
#: So many and more in one piece, without a zero before them, are no telephone and no NHS number.
_MANY: Final = 11
_UUID_LENGTH: Final = 36


def are_impersonal(texts: Sequence[str]) -> Bools:
    """Whether a text holds neither an @ nor a plus, only ASCII, and no digits that could be a number of a person; or is
    a UUID, perhaps as a URN or with a number behind it. The empty text is not: it identifies nothing.

    Digits could be such a number where more than nine stand between two characters that are neither digits nor of
    those that numbers are written with; but not eleven and more in one piece that does not begin with a zero.
    """
    found: Bools = _judge(lines_of(texts), False)
    return found


def are_record_ids(texts: Sequence[str]) -> Bools:
    """Whether a text is impersonal, and a record id by the contract: letters, digits and ._:/- behind one of the
    former."""
    found: Bools = _judge(lines_of(texts), True)
    return found


@njit(cache=True, nogil=True)
def _judge(lines: Bytes, record_id: bool) -> Bools:
    found = np.empty(count_lines(lines), np.bool_)
    begin, n = 0, 0
    for i in range(lines.size):
        if lines[i] == NEWLINE:
            formed = _has_form(lines, begin, i) if record_id else i > begin
            found[n] = formed and (_has_few_digits(lines, begin, i) or _is_uuid(lines, begin, i))
            n += 1
            begin = i + 1
    return found


@njit(cache=True, nogil=True)
def _has_form(lines: Bytes, begin: int, end: int) -> bool:
    formed = begin < end and not _MARKS[lines[begin]]
    for i in range(begin, end):
        formed &= _OF_RECORD_IDS[lines[i]]
    return formed


@njit(cache=True, nogil=True)
def _has_few_digits(lines: Bytes, begin: int, end: int) -> bool:
    digits, first, last = 0, begin, begin
    for i in range(begin, end):
        byte = lines[i]
        if _ODD[byte]:
            return False
        if _DIGITS[byte]:
            if digits == 0:
                first = i
            digits, last = digits + 1, i
        elif not _SOFT[byte]:
            if not _is_harmless(digits, last - first + 1, lines[first]):
                return False
            digits = 0
    harmless: bool = _is_harmless(digits, last - first + 1, lines[first])
    return harmless


@njit(cache=True, nogil=True)
def _is_harmless(digits: int, length: int, first: int) -> bool:
    return digits <= _FEW or (digits >= _MANY and digits == length and first != _ZERO)


@njit(cache=True, nogil=True)
def _is_uuid(lines: Bytes, begin: int, end: int) -> bool:
    at = begin
    if end - begin > _PREFIX.size and lines[begin + 3] == _COLON:
        for i in range(_PREFIX.size):
            if lines[begin + i] != _PREFIX[i]:
                return False
        at += _PREFIX.size
    if end - at < _UUID_LENGTH:
        return False
    for i in range(_UUID_LENGTH):
        byte = lines[at + i]
        if byte != _HYPHEN if i in (8, 13, 18, 23) else not _HEX[byte]:
            return False
    at += _UUID_LENGTH
    if at == end:
        return True
    numbered = lines[at] == _COLON and 2 <= end - at <= 4
    for i in range(at + 1, end):
        numbered &= _DIGITS[lines[i]]
    return numbered
