"""What happens in a round, drawn from its seed: how many workers, which records, and which trouble when."""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


class Trouble(StrEnum):
    """What is done to the installation."""

    KILL = "kill"
    """kill -9 of a worker, which is started again after a while."""
    PAUSE = "pause"
    """SIGSTOP of a worker, and SIGCONT after a while: it comes back as one who does not know that it was gone."""
    END = "end"
    """SIGTERM of a worker, which is started again after a while."""
    CUT = "cut"
    """The connections of a worker to the broker are cut, and new ones refused, for a while."""
    SILENCE = "silence"
    """Nothing passes on the connections of a worker for a while; none is closed."""
    BROKER_KILL = "broker-kill"
    """kill -9 of the broker, which is started again after a while."""
    BROKER_RESTART = "broker-restart"
    """The broker is stopped in good order, and started again."""
    CLOCK = "clock"
    """The wall clock of a worker jumps, and jumps back after a while."""
    DISK = "disk"
    """The disk of the broker is full; after a while there is room, and the broker is started again."""


OF_WORKERS = (Trouble.KILL, Trouble.PAUSE, Trouble.END, Trouble.CUT, Trouble.SILENCE, Trouble.CLOCK)
#: How often each is drawn.
WEIGHTS = {
    Trouble.KILL: 6,
    Trouble.PAUSE: 3,
    Trouble.END: 2,
    Trouble.CUT: 3,
    Trouble.SILENCE: 2,
    Trouble.CLOCK: 2,
    Trouble.BROKER_KILL: 1,
    Trouble.BROKER_RESTART: 1,
    Trouble.DISK: 1,
}
#: Clocks jump by so many seconds.
JUMPS_S = (-86_400, -3_600, -30, 30, 3_600, 86_400)


class Disturbance(NamedTuple):
    """One piece of trouble."""

    at_s: float
    """Seconds after the first record is published."""
    trouble: Trouble
    worker: int
    """Which of the workers it hits; of no meaning for trouble of the broker."""
    lasts_s: float
    jump_s: int = 0

    def __str__(self) -> str:
        whom = f" {self.worker}" if self.trouble in OF_WORKERS else ""
        by = f" by {self.jump_s:+d} s" if self.jump_s else ""
        return f"{self.trouble}{whom}{by} at {self.at_s:.1f} s for {self.lasts_s:.1f} s"


@dataclass(frozen=True)
class Scale:
    """How large a round is: the same seed at the same scale is the same round."""

    pause_s: float = 30.0
    """The longest SIGSTOP, seconds; a worker that is stopped for longer than the session has lost its regions."""
    session_s: int = 10
    """Workers that are silent for so long lose their regions; the least that Kafka allows is 6."""
    publishing_s: float = 15.0
    """The records of a round are published over so long, in bursts."""
    most_regions: int = 3
    most_workers: int = 3
    most_troubles: int = 5
    days: int = 48
    """Length of the simulated history."""
    rounds_a_log: int = 4
    """So many rounds in turn disturb workers over the same records, which then need one undisturbed run."""

    def __post_init__(self) -> None:
        if min(self.pause_s, self.publishing_s, self.most_regions, self.most_workers, self.most_troubles) <= 0:
            raise ValueError("a round has a length, workers, regions and troubles")


#: Rounds for a test of every change: about a quarter of a minute each on a machine of its own.
QUICK = Scale(
    pause_s=7.5, session_s=6, publishing_s=4.0, most_regions=2, most_workers=2, most_troubles=3, days=40, rounds_a_log=5
)


@dataclass(frozen=True)
class Plan:
    """One round."""

    seed: int
    number: int
    scale: Scale
    workers: int
    regions: int
    source_partitions: int
    located_partitions: int
    disturbances: tuple[Disturbance, ...]

    @property
    def log(self) -> int:
        """Number of the records that this round has in common with those beside it."""
        return (self.number - 1) // self.scale.rounds_a_log

    def choice(self, what: str) -> random.Random:
        """A stream of randomness of its own for each purpose, so that one more draw here changes nothing there."""
        return random.Random(f"{self.seed}/{what}")  # noqa: S311  # not a secret


def plan_round(seed: int, number: int, scale: Scale, possible: frozenset[Trouble] = frozenset(Trouble)) -> Plan:
    """The round of this number. `possible` is what can be done on this machine; the rest is left out."""
    choice = random.Random(f"{seed}/round {number}")  # noqa: S311  # not a secret
    of_log = random.Random(f"{seed}/log {(number - 1) // scale.rounds_a_log}")  # noqa: S311
    workers = choice.randint(1, scale.most_workers)
    regions = of_log.randint(1, scale.most_regions)
    partitions = of_log.randint(1, 3), of_log.randint(1, 4)
    wanted = list(WEIGHTS)
    drawn = choice.choices(wanted, list(WEIGHTS.values()), k=choice.randint(1, scale.most_troubles))
    found = [_disturbance(choice, trouble, workers, scale) for trouble in drawn]
    troubles = tuple(sorted(disturbance for disturbance in found if disturbance.trouble in possible))
    return Plan(seed, number, scale, workers, regions, *partitions, troubles)


def _disturbance(choice: random.Random, trouble: Trouble, workers: int, scale: Scale) -> Disturbance:
    at_s = round(choice.uniform(0.0, scale.publishing_s), 1)
    worker = choice.randrange(workers)
    # As often short as long: the middle of a batch is missed by what always lasts longer than a session.
    longest = scale.pause_s if trouble in (Trouble.PAUSE, Trouble.SILENCE, Trouble.CUT) else scale.pause_s / 6
    lasts_s = longest if choice.random() < 0.4 else choice.uniform(0.1, longest)
    jump_s = choice.choice(JUMPS_S) if trouble is Trouble.CLOCK else 0
    return Disturbance(at_s, trouble, worker, round(lasts_s, 1), jump_s)
