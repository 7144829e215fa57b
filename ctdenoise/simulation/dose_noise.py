"""What noise a scan lacks at a dose."""

from __future__ import annotations

import numpy as np

from ctdenoise.config.dose import SimulateSettings
from ctdenoise.simulation.noise import NoiseStatistics, added_noise, native_noise


def noise_statistics(dose: float, settings: SimulateSettings, *, rows: float) -> NoiseStatistics:
    """What noise a scan lacks at a dose.

    The readings that make a slice have each their electronic noise and their least count, so that
    a sum of n of them has n times the variance of one.

    Args:
        dose: Dose of the twin over that of the scan, in (0, 1].
        settings: What to simulate.
        rows: Readings of detector rows in a slice.
    """
    of_source = native_noise if settings.source_noise == "none" else added_noise
    return of_source(
        dose,
        electronic_noise=settings.electronic_noise_quanta * np.sqrt(rows),
        floor=settings.count_floor * rows,
        dual_below=settings.dual_below_counts,
    )
