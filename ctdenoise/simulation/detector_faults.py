"""Channels of the detector that measure wrongly, and so draw rings into every slice of a scan."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ctdenoise.config.artefacts import RingSettings
from ctdenoise.core.arrays import FloatArray

_STREAM = 0x52494E47
"""Separates these random numbers from others of the same seed."""

LEAST_GAIN = 0.1
"""A channel of less gain would be seen as dead."""


class DetectorFaults(NamedTuple):
    """What is wrong with the channels, the same in every view and slice of a scan."""

    log_gain: FloatArray
    """-ln of the relative gain: what a channel adds to every line integral, [channel]."""
    dead: npt.NDArray[np.int64]
    """Channels that count nothing."""
    before: npt.NDArray[np.int64]
    after: npt.NDArray[np.int64]
    """Working channels on both sides of each."""
    fraction: FloatArray
    """Weight of the one after in linear interpolation."""


def detector_faults(channels: int, settings: RingSettings, *, seed: int) -> DetectorFaults:
    """Draw the gains and dead channels of a detector.

    Args:
        channels: Of a detector row.
        settings: How many, how far off.
        seed: Same seed, same faults.
    """
    rng = np.random.default_rng([seed, _STREAM])
    gains = np.maximum(1 + settings.gain_sd * rng.standard_normal(channels), LEAST_GAIN)
    count = min(settings.dead_channels, (channels - 2) // 2)
    dead = np.sort(rng.choice(np.arange(1, channels - 1), count, replace=False))
    works = np.setdiff1d(np.arange(channels), dead)
    place = np.searchsorted(works, dead)
    before, after = works[place - 1], works[place]
    gains[dead] = 1.0
    return DetectorFaults(
        (-np.log(gains)).astype(np.float32),
        dead.astype(np.int64),
        before.astype(np.int64),
        after.astype(np.int64),
        ((dead - before) / (after - before)).astype(np.float32),
    )
