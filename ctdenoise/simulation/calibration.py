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
from ctdenoise.config.kernels import AutoKernelSettings, HeaderKernelSettings
from ctdenoise.core.acquisition import Acquisition
from ctdenoise.core.arrays import DoubleArray, FloatArray, HuArray
from ctdenoise.core.geometry import Geometry
from ctdenoise.core.noise_level import noise_level_hu
from ctdenoise.core.volume import CTVolume
from ctdenoise.simulation.beam import photons_of_exposure
from ctdenoise.simulation.filters import header_f50_per_mm
from ctdenoise.simulation.insertion import NoiseInsertion
from ctdenoise.simulation.model import ScanModel
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
    """What a scan was made with, and on what evidence.

    Args:
        model: Scanner, grid and kernel, every `auto` decided.
        photons: N0 at full dose of a slice of mean exposure.
        calibrated_by: What decided N0: "noise", "exposure" or "setting".
        full_noise_hu: Noise level measured in the scan; None where it cannot be measured.
        kernel_by: What decided the kernel: "noise", "header", "default" or "setting".
    """

    model: ScanModel
    photons: float
    calibrated_by: Literal["noise", "exposure", "setting"]
    full_noise_hu: float | None
    kernel_by: Literal["noise", "header", "default", "setting"]


def sample_indices(geometry: Geometry) -> list[int]:
    """Slices of a scan to calibrate on: at most sixteen, evenly spread.

    Args:
        geometry: Grid of the whole scan.
    """
    count = min(LANES, geometry.slices)
    return [int(i) for i in np.linspace(0, geometry.slices - 1, count).round()]


def noise_magnitude(sample: CTVolume) -> float | None:
    """Noise level of the soft tissue of some slices, HU; None where there is too little of it."""
    return noise_level_hu(sample.hu, sample.padding, sample.geometry.pixel_spacing_mm)


def relative_exposure(acquisition: Acquisition, settings: SimulateSettings) -> DoubleArray | None:
    """Exposure of each slice of a scan over the mean, [slice]; None where it is not known.

    Args:
        acquisition: Header facts of the whole scan.
        settings: `exposure_along_z` decides whether the header is followed.
    """
    stated = np.array(acquisition.exposure_mas, dtype=np.float64)
    if settings.exposure_along_z == "flat" or not stated.size or not (stated > 0).all():
        return None
    return np.asarray(stated / stated.mean())


def stated_mas(acquisition: Acquisition, settings: SimulateSettings) -> float | None:
    """Mean exposure of a scan, mAs: as set, else as its header says; None where neither tells.

    Args:
        acquisition: Header facts of the whole scan.
        settings: `mas` decides unless it is `header`.
    """
    if settings.mas != "header":
        return settings.mas
    mean = float(np.mean(acquisition.exposure_mas)) if acquisition.exposure_mas else 0.0
    return mean if mean > 0 else None


def calibrate(
    sample: CTVolume,
    settings: SimulateSettings,
    *,
    geometry: Geometry,
    acquisition: Acquisition,
) -> Calibration:
    """The photons and the kernel of a scan: as set, as its noise tells, or as its header says.

    Args:
        sample: The slices of the scan that `sample_indices` names.
        settings: `photons` decides; `source_noise: none` says that the image holds no noise.
        geometry: Grid of the whole scan.
        acquisition: Header facts of the whole scan.
    """
    model = ScanModel.of(geometry, acquisition, settings)
    kernel_by: Literal["header", "default", "setting"] = "setting"
    if isinstance(settings.kernel, AutoKernelSettings | HeaderKernelSettings):
        kernel_by = "default" if header_f50_per_mm(acquisition) is None else "header"
    measured = noise_magnitude(sample)
    if settings.photons != "auto":
        return Calibration(model, settings.photons, "setting", measured, kernel_by)
    mas = stated_mas(acquisition, settings)
    guess = photons_of_exposure(
        settings.reference_mas if mas is None else mas,
        kvp=acquisition.kvp,
        slice_thickness_mm=acquisition.slice_thickness_mm or geometry.slice_spacing_mm,
        fan=model.fan,
    )
    guess = float(np.clip(guess, *PHOTON_LIMITS))
    is_told = settings.mas == "header" and settings.source_noise == "subtract"
    if is_told and measured is not None and measured > LEAST_NOISE_HU:
        exposure = relative_exposure(acquisition, settings)
        of_sample = np.ones(geometry.slices) if exposure is None else exposure
        fitted = _fit_photons(
            sample,
            settings,
            NoiseInsertion(model),
            exposure=of_sample[sample_indices(geometry)].astype(np.float32),
            guess=guess,
            target_hu=measured,
        )
        if fitted is not None:
            return Calibration(model, fitted, "noise", measured, kernel_by)
    by: Literal["exposure", "setting"] = "setting" if mas is None else "exposure"
    _log.info("The photons of the scan come from its %s.", "settings" if mas is None else by)
    return Calibration(model, guess, by, measured, kernel_by)


def _fit_photons(
    sample: CTVolume,
    settings: SimulateSettings,
    insertion: NoiseInsertion,
    *,
    exposure: FloatArray,
    guess: float,
    target_hu: float,
) -> float | None:
    """N0 at which the simulated full-dose noise is the target; None if none is found."""
    hu = without_padding(sample)
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
        level = noise_level_hu(both, sample.padding, sample.geometry.pixel_spacing_mm)
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
