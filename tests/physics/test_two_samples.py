"""Two samples in each channel share its photons and its electronic noise, in every mode."""

from __future__ import annotations

import numpy as np
import pytest

from ctdenoise.config.kernels import GaussianKernelSettings
from ctdenoise.simulation.low_dose import simulate_low_dose
from tests.builders import water_disc
from tests.physics.fan_scan import SMALL_SCANNER, settings

SLICES = 96
SOFT = GaussianKernelSettings(f50_per_mm=0.1)
FINE = SMALL_SCANNER.replaced(channels=384, channel_pitch_mm=1.2)
"""Fine enough that interpolation between channels costs so soft a kernel 1 % of variance."""


def noise_level(samples: int, **chosen: object) -> tuple[float, int]:
    """Standard deviation over the slices of a disc, HU, and from how many free numbers."""
    size, spacing_mm = 32, 6.0
    disc = water_disc(slices=SLICES, size=size, pixel_spacing_mm=spacing_mm, radius_mm=80)
    wanted = settings(
        scanner=FINE.replaced(samples_per_channel=samples),
        kernel=SOFT,
        source_noise="none",
        slice_correlation="none",
        electronic_noise_quanta=30.0,
        photons=2e5,  # 2,000 counts of the twin: enough for the logarithm, few beside 30 squared
        **chosen,
    )
    twin = simulate_low_dose(disc, wanted, np.random.default_rng(samples)).low.hu
    axis = (np.arange(size) - (size - 1) / 2) * spacing_mm
    inside = np.hypot(axis[:, None], axis[None]) < 50
    variance = twin[:, inside].var(axis=0, ddof=1).mean()
    # Pixels 6 mm apart share a little noise of so soft a kernel: every second one counts.
    return float(np.sqrt(variance)), SLICES * int(inside.sum()) // 2


@pytest.mark.parametrize(
    "chosen",
    [
        {"geometry": "fan"},
        {"geometry": "parallel"},
        {"geometry": "rebinned"},
        {"mode": "image_domain", "geometry": "fan"},
        {"mode": "reconstruction", "geometry": "fan"},
    ],
    ids=lambda chosen: " ".join(chosen.values()),
)
def test_a_soft_kernel_has_the_same_noise_with_two_samples_in_a_channel(chosen):
    one, count = noise_level(1, **chosen)
    two, _ = noise_level(2, **chosen)
    error = np.sqrt(1 / count)  # of the ratio of two standard deviations
    assert error < 0.015
    assert two / one == pytest.approx(1, abs=0.01 + 3 * error)
