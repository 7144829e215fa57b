"""The noise magnitude of a volume, and how it changed."""

from __future__ import annotations

from ctdenoise.core.arrays import BoolArray
from ctdenoise.core.noise_level import noise_level_hu
from ctdenoise.core.volume import CTVolume


def noise_magnitude(volume: CTVolume, *, body: BoolArray | None = None) -> float | None:
    """The global noise level of a volume in soft tissue, HU.

    The mode of the standard deviation of detrended 6 mm patches (Christianson et al., AJR 2015),
    corrected for what the patches cannot see; see `ctdenoise.core.noise_level`.

    Args:
        volume: The volume.
        body: Its body mask, where it is known.

    Returns:
        The noise magnitude; None where there is too little soft tissue.
    """
    return noise_level_hu(volume.hu, volume.padding, volume.geometry.pixel_spacing_mm, body=body)


def noise_change_percent(reference_hu: float | None, test_hu: float | None) -> float | None:
    """Change of the noise magnitude, percent of the reference's; negative is less noise.

    None where one of them is unknown or the reference has no noise.
    """
    if not reference_hu or test_hu is None:
        return None
    return 100 * (test_hu / reference_hu - 1)
