"""Which local days are public holidays: days off that fall on any weekday, with evenings before and nights after."""

from __future__ import annotations

from datetime import date
from functools import cache
from typing import Final

import holidays

#: Years whose holidays make up the list of names. The list is the same whatever history there is.
_NAMED_YEARS: Final = range(2000, 2041)
_EPOCH: Final = date(1970, 1, 1).toordinal()


class PublicHolidays:
    """The holidays of one country or a part of it, written as in ISO 3166: GB-ENG, US-IL, IE; empty for none.

    Raises ValueError for a code that is not known.
    """

    def __init__(self, code: str) -> None:
        self.code = code
        self._of_year: dict[int, dict[int, int]] = {}
        self._names = _names(code) if code else ()

    @property
    def names(self) -> tuple[str, ...]:
        """Every holiday once; its number is its place here plus one."""
        return self._names

    def number(self, day: int) -> int:
        """The number of the holiday of a local day (days since 1970-01-01); 0 for an ordinary day."""
        if not self._names:
            return 0
        year = date.fromordinal(day + _EPOCH).year
        if year not in self._of_year:
            self._of_year[year] = self._numbers(year)
        return self._of_year[year].get(day, 0)

    def _numbers(self, year: int) -> dict[int, int]:
        country, _, part = self.code.partition("-")
        calendar = holidays.country_holidays(country, subdiv=part or None, years=year)
        place = {name: number for number, name in enumerate(self._names, start=1)}
        # A name that only years beyond the list know counts as the first: a day off it is all the same.
        return {day.toordinal() - _EPOCH: place.get(name, 1) for day, name in calendar.items()}


@cache
def _names(code: str) -> tuple[str, ...]:
    """Every holiday once: of many regions most have the same."""
    country, _, part = code.partition("-")
    try:
        calendar = holidays.country_holidays(country, subdiv=part or None, years=_NAMED_YEARS)
    except NotImplementedError:  # what the library raises for a country or a part that it does not know
        raise ValueError(f"holidays {code!r} is not a country or part of one, such as GB-ENG") from None
    return tuple(sorted(set(calendar.values())))


NO_HOLIDAYS: Final = PublicHolidays("")
