"""When scores must be given their meaning anew, and the order to do so, which another thread may carry out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from processors.baseline import Baseline
from processors.calibration import Calibration, calibrate
from processors.dispersion import Variation, measure_variation
from processors.incidents import incidents
from processors.localtime import DAY_S, LocalHours
from schemas.detection import DetectionSettings
from schemas.located import LocatedArray

#: A calibration no longer fits when a kind has become this many times more or less frequent.
LEVEL_CHANGE: Final = 1.5


class CalibrationOrder(NamedTuple):
    """A calibration to be made, and all that it takes, of which the detector that wants it changes nothing."""

    baseline: Baseline
    counted: LocatedArray
    """The records that the baseline was fitted to, and more."""
    settings: DetectionSettings
    local: LocalHours

    def make(self, threads: int = 1) -> Calibration:
        """Simulate: from a second to a minute."""
        return calibrate(self.baseline, self.variation(), self.settings, self.local, threads=threads)

    def variation(self) -> Variation:
        """How much the history that the baseline was taught varies beyond chance."""
        found = incidents(self.counted, self.settings.merge_minutes * 60)
        return measure_variation(found, self.baseline, self.settings, self.local)


def is_outdated(calibration: Calibration | None, baseline: Baseline, settings: DetectionSettings) -> bool:
    """Whether this baseline asks for a calibration of its own."""
    if calibration is None or baseline.fitted_at - calibration.made_at > settings.calibration_max_age_days * DAY_S:
        return True
    return is_of_other_levels(calibration, baseline)


def is_of_other_levels(calibration: Calibration, baseline: Baseline) -> bool:
    """Whether its scores mean something else now: a kind began or ended, or has become much more or less frequent."""
    return any(
        (now > 0) != (then > 0) or now > LEVEL_CHANGE * then or now * LEVEL_CHANGE < then
        for now, then in zip(baseline.yearly(), calibration.yearly, strict=True)
    )


class Recalibration:
    """The calibration of one region, and whether another is due."""

    def __init__(self, *, beside: bool, threads: int) -> None:
        """With `beside` a calibration that is due is ordered, not made: whoever takes the order hands it in."""
        self.made: Calibration | None = None
        """The newest."""
        self._beside, self._threads = beside, threads
        self._order: CalibrationOrder | None = None
        self._is_ordered = False  # and not handed in yet
        self._is_withheld = False
        self.is_doubted = True
        """Whether it must be asked if the calibration fits the baseline."""

    @property
    def in_force(self) -> Calibration | None:
        """By which to judge. What is merely old holds until another is there; what is of other levels does not."""
        return None if self._is_withheld else self.made

    def doubt(self) -> None:
        """The baseline is another one."""
        self.is_doubted = True

    def check(
        self, baseline: Baseline | None, settings: DetectionSettings, order: Callable[[], CalibrationOrder]
    ) -> bool:
        """Make or order a calibration where that is due; `order` tells of what. Returns whether another is in force."""
        if not self.is_doubted or baseline is None:
            return False
        before = self.in_force
        self._is_withheld = self._beside and self.made is not None and is_of_other_levels(self.made, baseline)
        if not self._is_ordered:
            self.is_doubted = False
            if is_outdated(self.made, baseline, settings):
                if self._beside:
                    self._order, self._is_ordered = order(), True
                else:
                    self.made = order().make(self._threads)
        return self.in_force is not before

    def take_order(self) -> CalibrationOrder | None:
        """What is ordered, once; None without an order."""
        order, self._order = self._order, None
        return order

    def hand_in(self, calibration: Calibration) -> None:
        """What was ordered is made. The baseline may be another by now."""
        self.made, self._is_ordered, self._is_withheld, self.is_doubted = calibration, False, False, True
