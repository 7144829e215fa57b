"""How many photons a scan was made with, found from the noise in its image.

Header exposure is no evidence: published low-dose files often carry the full-dose values, and the
slice thickness, the bowtie and the noise reduction of the scanner are not in it. So N0 is fitted:
adding the simulated noise of a native full-dose scan to the image once more must raise its noise
level by the square root of two.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ctdenoise.config.dose import SimulateSettings
from ctdenoise.core.arrays import DoubleArray, FloatArray, HuArray
from ctdenoise.core.noise_level import noise_level_hu
from ctdenoise.core.volume import CTVolume
from ctdenoise.simulation.beam import photons_of_exposure
from ctdenoise.simulation.insertion import NoiseInsertion
from ctdenoise.simulation.noise import native_noise, slice_keys
from ctdenoise.simulation.vectors import LANES

_log = logging.getLogger(__name__)

LEAST_NOISE_HU = 0.5
"""Less noise than this is that of a phantom or of rounding, not of a scan."""

PHOTON_LIMITS = (1e3, 1e9)
_LARGEST_STEP = 50.0
_ROUNDS = 4
_CLOSE_ENOUGH = 0.01


@dataclass(frozen=True)
class Calibration:
    """The photons of a scan and where the number comes from.

    Args:
        photons: N0 at full dose of a slice of mean exposure.
        calibrated_by: "noise", "exposure" or "setting".
        full_noise_hu: Noise level measured in the scan; None where it cannot be measured.
    """

    photons: float
    calibrated_by: Literal["noise", "exposure", "setting"]
    full_noise_hu: float | None


def calibration_slices(volume: CTVolume) -> CTVolume:
    """At most sixteen slices, evenly spread over a volume, to measure noise in."""
    return volume.select(_calibration_indices(volume))


def _calibration_indices(volume: CTVolume) -> list[int]:
    count = min(LANES, volume.shape[0])
    return [int(i) for i in np.linspace(0, volume.shape[0] - 1, count).round()]


def noise_magnitude(volume: CTVolume) -> float | None:
    """Noise level of the soft tissue of a volume, HU; None where there is too little of it.

    Args:
        volume: Full dose or low dose; sixteen of its slices are looked at.
    """
    few = calibration_slices(volume)
    return noise_level_hu(few.hu, few.padding, few.geometry.pixel_spacing_mm)


def relative_exposure(volume: CTVolume, settings: SimulateSettings) -> DoubleArray:
    """Exposure of each slice over the mean, [slice]; all one where it is not known."""
    stated = np.array(volume.acquisition.exposure_mas, dtype=np.float64)
    usable = len(stated) == volume.shape[0] and bool((stated > 0).all())
    if settings.exposure_along_z == "flat" or not usable:
        return np.ones(volume.shape[0])
    return np.asarray(stated / stated.mean())


def calibrate(
    volume: CTVolume, settings: SimulateSettings, insertion: NoiseInsertion
) -> Calibration:
    """The photons of a scan: as set, as its noise tells, or as its exposure says.

    Args:
        volume: The scan.
        settings: `photons` decides; `source_noise: none` says that the image holds no noise.
        insertion: The simulator of this scan.
    """
    measured = noise_magnitude(volume)
    if settings.photons != "auto":
        return Calibration(settings.photons, "setting", measured)
    stated = volume.acquisition.exposure_mas
    mas = float(np.mean(stated)) if stated and np.mean(stated) > 0 else None
    guess = photons_of_exposure(
        settings.reference_mas if mas is None else mas,
        kvp=volume.acquisition.kvp,
        slice_thickness_mm=_thickness_mm(volume),
        fan=insertion.model.fan,
    )
    guess = float(np.clip(guess, *PHOTON_LIMITS))
    if settings.source_noise == "subtract" and measured is not None and measured > LEAST_NOISE_HU:
        fitted = _fit_photons(volume, settings, insertion, guess=guess, target_hu=measured)
        if fitted is not None:
            return Calibration(fitted, "noise", measured)
    by: Literal["exposure", "setting"] = "setting" if mas is None else "exposure"
    _log.info("The photons of the scan come from its %s.", "settings" if mas is None else by)
    return Calibration(guess, by, measured)


def _thickness_mm(volume: CTVolume) -> float | None:
    return volume.acquisition.slice_thickness_mm or volume.geometry.slice_spacing_mm


def _fit_photons(
    volume: CTVolume,
    settings: SimulateSettings,
    insertion: NoiseInsertion,
    *,
    guess: float,
    target_hu: float,
) -> float | None:
    """N0 at which the simulated full-dose noise is the target; None if none is found."""
    few = calibration_slices(volume)
    # Relative to the mean of the whole volume, as N0 is.
    exposure = relative_exposure(volume, settings)[_calibration_indices(volume)].astype(np.float32)
    hu = without_padding(few)
    line_integrals = insertion.project(hu)
    statistics = native_noise(
        1.0, electronic_noise=settings.electronic_noise_quanta, floor=settings.count_floor
    )
    # Always the same draw: the fit is a smooth function of N0 and a fact of the image.
    keys = slice_keys([f"calibration {index}".encode() for index in range(len(hu))])
    photons = guess
    for _ in range(_ROUNDS):
        noise = insertion.draw(line_integrals, statistics, photons=photons * exposure, keys=keys)
        both = hu + _slices(noise, len(hu))
        level = noise_level_hu(both, few.padding, few.geometry.pixel_spacing_mm)
        if level is None:
            return None
        added = max(level**2 - target_hu**2, 0.01 * target_hu**2)
        ratio = float(np.clip(added / target_hu**2, 1 / _LARGEST_STEP, _LARGEST_STEP))
        photons = float(np.clip(photons * ratio, *PHOTON_LIMITS))
        if abs(ratio - 1) < _CLOSE_ENOUGH:
            return photons
    if abs(ratio - 1) > 0.1 or photons in PHOTON_LIMITS:
        _log.warning(
            "No number of photons explains the noise of %.1f HU in this scan; its exposure is "
            "used instead. Set `photons` or another `kernel` if you know better.",
            target_hu,
        )
        return None
    return photons


def without_padding(volume: CTVolume) -> HuArray:
    """The slices with air in place of padding, [slice, y, x]."""
    if volume.padding is None:
        return volume.hu
    return np.where(volume.padding, np.float32(-1000), volume.hu)


def _slices(image: FloatArray, count: int) -> HuArray:
    """An image [y, x, lane] as slices [slice, y, x]."""
    return np.ascontiguousarray(image[:, :, :count].transpose(2, 0, 1))
