"""What every contract shares: frozen models that refuse unknown fields, and time that always has a zone."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Strict
from pydantic_core import PydanticCustomError

Clock = Callable[[], datetime]


class ToldError(Exception):
    """What a user can mend: commands tell it in its one sentence, without a traceback."""


def utc_now() -> datetime:
    """The wall clock. Called at entry points only; everywhere else time is an argument."""
    return datetime.now(UTC)


def _no_number(value: object) -> object:
    # Pydantic takes numbers, and texts of digits, for seconds or, when large, milliseconds since 1970: a guess.
    if isinstance(value, str):
        if value[4:5] != "-":
            raise PydanticCustomError("datetime_not_iso", "a time is written as ISO 8601")
    elif not isinstance(value, datetime):
        raise PydanticCustomError("datetime_type", "a time is a text in ISO 8601")
    return value


def _to_utc(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC)
    except OverflowError:
        # Default dates such as 0001-01-01T00:00+01:00 lie before time begins: the nearest moment that there is.
        return datetime.min.replace(tzinfo=UTC) if value.year == 1 else datetime.max.replace(tzinfo=UTC)


UtcTime = Annotated[AwareDatetime, Strict(False), BeforeValidator(_no_number), AfterValidator(_to_utc)]


class Contract(BaseModel):
    """A message or a piece of one: frozen, and closed to fields that it does not name."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)


def seconds(moment: datetime) -> int:
    """Whole seconds since 1970-01-01T00:00Z."""
    return int(moment.timestamp())


def moment(epoch_seconds: float) -> datetime:
    """The aware UTC time of seconds since 1970-01-01T00:00Z."""
    return datetime.fromtimestamp(epoch_seconds, UTC)
