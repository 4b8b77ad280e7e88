"""CSV files as programs export them: in several encodings, with several delimiters, compressed or not."""

from __future__ import annotations

import codecs
import csv
import gzip
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from itertools import islice
from pathlib import Path

from schemas.base import ToldError

#: UTF-8, with or without the mark that spreadsheet programs put before it.
UTF_8 = "utf-8-sig"
_UTF_16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_DELIMITERS = (",", ";", "\t", "|")
_CHUNK = 1 << 20
#: Lines from which a delimiter is told.
_TRIED = 50

Row = list[str]


class IncidentFileError(ToldError, ValueError):
    """An incident file that cannot be used; the message is one sentence for its author."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How the text of a file is written."""

    encoding: str = UTF_8
    delimiter: str = ","


def open_bytes(path: Path) -> gzip.GzipFile | BufferedReader:
    """A file, decompressed if its name ends in .gz."""
    return gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")


@contextmanager
def told(path: Path) -> Iterator[None]:
    """Turns what can go wrong with a file into IncidentFileError."""
    try:
        yield
    except FileNotFoundError:
        raise IncidentFileError(f"There is no file {path}.") from None
    except (OSError, EOFError, zlib.error, UnicodeError, csv.Error) as error:
        raise IncidentFileError(f"The file {path} cannot be read: {str(error).rstrip('.')}.") from None


def layout_of(path: Path) -> Layout:
    """Encoding and delimiter of a file, found from its bytes. Raises IncidentFileError."""
    with told(path):
        encoding = _encoding(path)
        return Layout(encoding, _delimiter(path, encoding))


def table(path: Path, layout: Layout, passed: Callable[[int], object] = lambda _: None) -> Iterator[Row]:
    """The header and the rows of a file, each with as many cells; rows without any text are left out.

    `passed` is told of each chunk of decompressed bytes. Raises IncidentFileError.
    """
    width = 0
    with told(path):
        reader = csv.reader(_lines(path, layout.encoding, passed), delimiter=layout.delimiter)
        for row in reader:
            if not any(map(str.strip, row)):
                continue
            width = width or len(row)
            if len(row) != width:
                raise IncidentFileError(
                    f"Line {reader.line_num} of {path} has another number of columns than its header."
                )
            yield row


def _lines(path: Path, encoding: str, passed: Callable[[int], object]) -> Iterator[str]:
    """Lines with their ends, so that a quoted line break stays what it is."""
    decoder, rest = codecs.getincrementaldecoder(encoding)(), ""
    with open_bytes(path) as file:
        while chunk := file.read(_CHUNK):
            *lines, rest = (rest + decoder.decode(chunk)).split("\n")
            yield from (line + "\n" for line in lines)
            passed(len(chunk))
    rest += decoder.decode(b"", final=True)
    if rest:
        yield rest


def _encoding(path: Path) -> str:
    decoder = codecs.getincrementaldecoder("utf-8")()
    encoding, first = UTF_8, True
    with open_bytes(path) as file:
        while chunk := file.read(_CHUNK):
            if first:
                first = False
                if chunk.startswith(_UTF_16_MARKS):
                    return "utf-16"
                if chunk.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
                    raise IncidentFileError(
                        f"The file {path} is a workbook or an archive: save its table as CSV UTF-8."
                    )
                if b"\0" in chunk:
                    return _utf_16_without_mark(path, chunk)
            if encoding == UTF_8:
                try:
                    decoder.decode(chunk)
                except UnicodeDecodeError:
                    encoding = "cp1252"
            if b"\0" in chunk:
                raise IncidentFileError(f"The file {path} is no text: save the table as CSV UTF-8.")
    return encoding


def _utf_16_without_mark(path: Path, chunk: bytes) -> str:
    high = chunk[1::2].count(0), chunk[0::2].count(0)
    if max(high) < len(chunk) // 4:
        raise IncidentFileError(f"The file {path} is no text: save the table as CSV UTF-8.")
    return "utf-16-le" if high[0] > high[1] else "utf-16-be"


def _delimiter(path: Path, encoding: str) -> str:
    """The delimiter that parts the first lines into most columns, equally many in each."""
    lines = list(islice(_lines(path, encoding, lambda _: None), _TRIED))
    if not "".join(lines).strip():
        raise IncidentFileError(f"The file {path} is empty.")

    def columns(delimiter: str) -> int:
        rows = [row for row in csv.reader(lines[:-1] if len(lines) == _TRIED else lines, delimiter=delimiter) if row]
        return len(rows[0]) if rows and len({len(row) for row in rows}) == 1 else 0

    best = max(_DELIMITERS, key=columns)
    if columns(best) > 1:
        return best
    # No delimiter parts all lines alike: the header's own, so that a ragged line is told by its number.
    header = next(line for line in lines if line.strip())
    best = max(_DELIMITERS, key=header.count)
    if not header.count(best):
        raise IncidentFileError(
            f"The file {path} has a single column: its columns must be parted by commas, semicolons, tabs or |."
        )
    return best
