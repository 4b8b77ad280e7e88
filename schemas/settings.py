"""All that operations may set, from environment variables that begin with HOTSPOT_."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict, SettingsError

from schemas.base import ToldError
from schemas.detection import DetectionSettings
from schemas.region import first_sentence


class SettingError(ToldError, ValueError):
    """A setting that cannot be used; the message is one sentence for operations staff."""


class Settings(BaseSettings):
    """Settings of a worker. Every field is an environment variable: HOTSPOT_ and its name in capitals."""

    model_config = SettingsConfigDict(
        env_prefix="HOTSPOT_",
        env_nested_delimiter="__",
        frozen=True,
        extra="ignore",
        use_attribute_docstrings=True,
    )

    bootstrap: str = Field(default="127.0.0.1:9092", pattern=r"^[^\s:,]+:\d+(,[^\s:,]+:\d+)*$")
    """Kafka brokers, `host:port`, separated by commas."""
    redis_url: str = Field(default="redis://127.0.0.1:6379/0", pattern=r"^(redis|rediss|unix)://")
    """Where current episodes are kept."""
    regions: Annotated[tuple[Path, ...], NoDecode] = Field(default=(Path("regions/hampshire.toml"),), min_length=1)
    """Region files, separated by commas."""
    prefix: str = Field(default="hotspot", pattern=r"^hotspot[a-z0-9.-]{0,60}$")
    """First part of every topic, of the consumer group and of Redis keys. Workers of one installation share it."""
    source_partitions: int = Field(default=4, ge=1, le=256)
    """Partitions of each source topic when this worker creates it."""
    located_partitions: int = Field(default=12, ge=1, le=256)
    """Partitions of the located topic: the most workers that regions can spread over."""
    replication: int = Field(default=1, ge=1, le=9)
    """Replication factor of topics that this worker creates."""
    clock: Literal["wall", "replay"] = "wall"
    """`wall`: look as soon as a batch is applied, and at ticks. `replay`: look by record time, below the watermark."""
    look_minutes: int = Field(default=15, ge=1, le=1440)
    """Replay clock: looks happen at multiples of this at which something new is known, minutes."""
    tick_seconds: float = Field(default=60.0, gt=0, le=3600)
    """Wall clock: a region without records is looked at this often, seconds."""
    future_tolerance_s: int = Field(default=600, ge=0, le=86_400)
    """A time further ahead of the clock than this is refused, seconds."""
    max_message_bytes: int = Field(default=1_048_576, ge=1024, le=8_388_608)
    """A larger message goes to the dead letter, bytes."""
    metrics_host: str = "127.0.0.1"
    """Address on which /metrics, /livez and /readyz are served."""
    metrics_port: int = Field(default=9108, ge=0, le=65_535)
    """Port of /metrics, /livez and /readyz; 0 takes a free one."""
    commit_seconds: float = Field(default=0.5, gt=0, le=60)
    """Offsets are committed this often, seconds."""
    session_timeout_s: int = Field(default=20, ge=2, le=300)
    """A worker that is silent for this long loses its regions to another, seconds."""
    fetch_wait_ms: int = Field(default=500, ge=1, le=10_000)
    """The broker may hold a fetch for which it has nothing for this long, milliseconds."""
    producer_batch_bytes: int = Field(default=524_288, ge=1, le=1_048_576)
    """Records to one partition are sent together up to this size, bytes."""
    routes: Path | None = None
    """Routes file: who is told of alerts, and how it reaches them. None: nobody but readers of Kafka and Redis."""
    simulated: bool = False
    """The records are simulated: every alert says so."""
    console_url: str = Field(default="", pattern=r"^(https?://[^\s?#]+)?$")
    """Where people see episodes, such as `https://hotspot.example.org`: alerts link there. Empty for no links."""
    detection: DetectionSettings = DetectionSettings()
    """How regions are scanned; nested names are joined by two underscores (HOTSPOT_DETECTION__BUDGET_PER_28D)."""

    @field_validator("regions", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def load_settings(**given: object) -> Settings:
    """Settings from the environment, overridden by what is given.

    Raises SettingError, whose message is one plain sentence.
    """
    try:
        return Settings(**given)  # type: ignore[arg-type]  # values come from the command line; pydantic checks them
    except ValidationError as error:
        raise SettingError(f"A setting cannot be used: HOTSPOT_{_env_name(error)}.") from None
    except SettingsError as error:
        # The library names the field in a sentence for programmers; lists and nested settings are all that it reads so.
        field = re.search(r'field "(\w+)"', str(error))
        name = f"HOTSPOT_{field[1].upper()}" if field else "one of them"
        raise SettingError(
            f"A setting cannot be used: {name} or a part of it is not JSON, such as [0, 1, 2]."
        ) from None


def _env_name(error: ValidationError) -> str:
    where, _, what = first_sentence(error).partition(": ")
    return f"{where.upper().replace('.', '__')}: {what}"
