"""What a scan was made with, found from the noise in its image.

Header exposure is no evidence: published low-dose files often carry the full-dose values, and the
slice thickness, the bowtie and the noise reduction of the scanner are not in it. So kernel, photons
and their course along the scan are such that simulated full-dose noise equals the noise of the
scan; see `noise_fit`.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ctdenoise.config.dose import SimulateSettings
from ctdenoise.config.kernels import (
    AutoKernelSettings,
    HeaderKernelSettings,
    MeasuredKernelSettings,
)
from ctdenoise.core.acquisition import Acquisition
from ctdenoise.core.arrays import DoubleArray, HuArray
from ctdenoise.core.geometry import Geometry
from ctdenoise.core.noise_level import noise_level_hu
from ctdenoise.core.volume import CTVolume
from ctdenoise.errors import SimulationError
from ctdenoise.simulation.beam import photons_of_exposure
from ctdenoise.simulation.filters import header_f50_per_mm, kernel_f50_per_mm
from ctdenoise.simulation.model import ScanModel
from ctdenoise.simulation.noise_fit import PHOTON_LIMITS, NoiseFit, Wanted, fit_noise
from ctdenoise.simulation.vectors import LANES

_log = logging.getLogger(__name__)

LEAST_NOISE_HU = 0.5
"""Less noise than this is that of a phantom or of rounding, not of a scan."""

MOST_PAIRS = LANES // 2
"""Pairs of neighbouring slices that a scan is calibrated on."""

FEWEST_PAIRS = 3
"""With fewer pairs of slices the course of the exposure along z is not measured."""

_CLEAR_COURSE = 2.0
"""Variance of the pairs' photons over that from their errors, from which the course is believed."""

_LOWEST_F50_PER_MM = 0.2
"""Softer kernels are not in use for bodies: noise without high frequencies was denoised."""

_LARGEST_SPREAD = 0.2
"""Noise that differs by more than this between places of one attenuation does not follow rays."""

_NO_KERNEL_FIX = "Use a kernel of `auto`, `header`, or one with figures."

CalibratedBy = Literal["noise", "exposure", "setting"]
KernelBy = Literal["noise", "header", "default", "setting"]


@dataclass(frozen=True, eq=False)
class Calibration:
    """What a scan was made with, and on what evidence.

    Args:
        model: Scanner, grid and kernel, every `auto` decided.
        photons: N0 at full dose of a slice of mean exposure.
        calibrated_by: What decided N0: "noise", "exposure" or "setting".
        full_noise_hu: Noise level measured in the scan; None where it cannot be measured.
        kernel_by: What decided the kernel: "noise", "header", "default" or "setting".
        relative_exposure: Exposure of each slice over the mean, [slice].
        exposure_by: What decided that: "noise", "header" or "flat".
        exposure_photons: N0 that the stated exposure would give: a hint.
        header_f50_per_mm: Typical half height of the kernel that the header names, 1/mm.
        evidence: What was measured; None where the noise was not looked at, or shows too little.
        notes: What was noticed and why, in sentences.
    """

    model: ScanModel
    photons: float
    calibrated_by: CalibratedBy
    full_noise_hu: float | None
    kernel_by: KernelBy
    relative_exposure: DoubleArray
    exposure_by: Literal["noise", "header", "flat"] = "flat"
    exposure_photons: float | None = None
    header_f50_per_mm: float | None = None
    evidence: NoiseFit | None = None
    notes: tuple[str, ...] = ()

    @property
    def kernel_f50_per_mm(self) -> float:
        """Half height of the kernel that is simulated, 1/mm."""
        return kernel_f50_per_mm(
            self.model.kernel, nyquist_per_mm=0.5 / self.model.fan.channel_width_mm
        )


def sample_indices(geometry: Geometry) -> list[int]:
    """Slices of a scan to calibrate on: at most eight pairs of neighbours, evenly spread.

    Args:
        geometry: Grid of the whole scan.
    """
    if geometry.slices <= 2 * MOST_PAIRS:
        return list(range(geometry.slices))
    first = np.linspace(0, geometry.slices - 2, MOST_PAIRS).round().astype(int)
    return [int(index) for pair in zip(first, first + 1, strict=True) for index in pair]


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

    Raises:
        SimulationError: If the kernel has to be measured and cannot be.
    """
    model = ScanModel.of(geometry, acquisition, settings)
    mas = stated_mas(acquisition, settings)
    hint = _photons_of_header(model, acquisition, settings, geometry)
    stated = relative_exposure(acquisition, settings)
    exposure = np.ones(geometry.slices) if stated is None else stated
    level = noise_magnitude(sample)
    notes: list[str] = []
    fit: NoiseFit | None = None
    if settings.source_noise == "none":
        notes.append("The scan counts as free of noise, so nothing was measured.")
    elif level is None or level <= LEAST_NOISE_HU:
        notes.append("The scan shows too little noise in soft tissue to be measured.")
    else:
        fit = _fit(sample, settings, model, exposure=exposure[sample_indices(geometry)], guess=hint)
        if fit is None:
            notes.append("The noise of the scan was not measured, or shows in too few places.")
    if fit is None and isinstance(settings.kernel, MeasuredKernelSettings):
        raise SimulationError(f"The kernel cannot be measured. {notes[-1]}", fix=_NO_KERNEL_FIX)
    photons, calibrated_by = _photons(settings, mas, hint, fit)
    if fit is not None:
        notes.extend(_oddities(fit))
    exposure_by: Literal["noise", "header", "flat"] = "flat" if stated is None else "header"
    if fit is not None and settings.exposure_along_z == "auto" and calibrated_by == "noise":
        course = _course_along_z(fit, geometry)
        if course is not None:
            exposure, exposure_by = exposure * course, "noise"
            photons *= float(exposure.mean())
            exposure = exposure / exposure.mean()
    for note in notes:
        _log.info(note)
    named = header_f50_per_mm(acquisition)
    return Calibration(
        model=model if fit is None else fit.model,
        photons=float(np.clip(photons, *PHOTON_LIMITS)) if calibrated_by == "noise" else photons,
        calibrated_by=calibrated_by,
        full_noise_hu=level,
        kernel_by=_kernel_by(settings, named, fit),
        relative_exposure=exposure,
        exposure_by=exposure_by,
        exposure_photons=None if mas is None else hint,
        header_f50_per_mm=named,
        evidence=fit,
        notes=tuple(notes),
    )


def _photons_of_header(
    model: ScanModel, acquisition: Acquisition, settings: SimulateSettings, geometry: Geometry
) -> float:
    """N0 that the stated exposure gives, or the reference exposure where none is stated."""
    mas = stated_mas(acquisition, settings)
    photons = photons_of_exposure(
        settings.reference_mas if mas is None else mas,
        kvp=acquisition.kvp,
        slice_thickness_mm=acquisition.slice_thickness_mm or geometry.slice_spacing_mm,
        fan=model.fan,
    )
    return float(np.clip(photons * model.samples_per_channel, *PHOTON_LIMITS))


def _fit(
    sample: CTVolume,
    settings: SimulateSettings,
    model: ScanModel,
    *,
    exposure: DoubleArray,
    guess: float,
) -> NoiseFit | None:
    measures_photons = settings.photons == "auto" and settings.mas == "header"
    scanner = settings.scanner
    wanted = Wanted(
        kernel=isinstance(settings.kernel, AutoKernelSettings | MeasuredKernelSettings),
        along_z=measures_photons and settings.exposure_along_z == "auto",
        radial_trend=measures_photons and scanner.bowtie == "auto",
        doubled=scanner.samples_per_channel == "auto",
    )
    if not (wanted.kernel or measures_photons):
        return None
    fit = fit_noise(
        without_padding(sample),
        sample,
        model,
        settings,
        exposure=exposure,
        guess=guess,
        wanted=wanted,
    )
    if fit is not None and not PHOTON_LIMITS[0] < fit.photons < PHOTON_LIMITS[1]:
        _log.warning(
            "No number of photons explains the noise of this scan; its header is used instead. "
            "Set `photons` and `kernel` if you know better."
        )
        return None
    return fit


def _photons(
    settings: SimulateSettings, mas: float | None, hint: float, fit: NoiseFit | None
) -> tuple[float, CalibratedBy]:
    """N0 and what decided it."""
    if settings.photons != "auto":
        return settings.photons, "setting"
    if fit is not None and settings.mas == "header":
        return fit.photons, "noise"
    return hint, "setting" if mas is None else "exposure"


def _kernel_by(settings: SimulateSettings, named: float | None, fit: NoiseFit | None) -> KernelBy:
    if isinstance(settings.kernel, AutoKernelSettings | MeasuredKernelSettings) and fit is not None:
        return "noise"
    if isinstance(settings.kernel, AutoKernelSettings | HeaderKernelSettings):
        return "default" if named is None else "header"
    return "setting"


def _oddities(fit: NoiseFit) -> list[str]:
    """What in the noise no filtered back-projection explains."""
    f50 = kernel_f50_per_mm(fit.model.kernel, nyquist_per_mm=fit.trusted_per_mm)
    odd = []
    if f50 < _LOWEST_F50_PER_MM:
        odd.append(f"its texture is coarser than that of any kernel ({f50:.2f} /mm at one half)")
    if fit.places is not None and fit.places.spread > _LARGEST_SPREAD:
        odd.append("it does not follow the attenuation of the rays")
    if not odd:
        return []
    warning = (
        f"The noise of this scan is not that of filtered back-projection: {' and '.join(odd)}. "
        "If it was reconstructed iteratively or denoised, set `source_noise: none` and a `kernel` "
        "of `header`."
    )
    _log.warning(warning)
    return [warning]


def _course_along_z(fit: NoiseFit, geometry: Geometry) -> DoubleArray | None:
    """Photons of each slice over those expected, [slice]; None where nothing clear is seen.

    Each pair counts as far as its error allows: the excess of the variance between the pairs over
    that from their errors is the variance of what is real.
    """
    known = np.isfinite(fit.pair_error)
    if np.count_nonzero(known) < FEWEST_PAIRS:
        return None
    log_photons = np.log(fit.pair_photons[known])
    error = 2 * fit.pair_error[known]  # of photons, twice that of the noise
    between = float(np.var(log_photons, ddof=1))
    if between < _CLEAR_COURSE * float(np.mean(error**2)):
        return None
    real = between - float(np.mean(error**2))
    mean = log_photons.mean()
    shrunk = mean + (log_photons - mean) * real / (real + error**2)
    indices = np.array(sample_indices(geometry), dtype=np.float64)
    middle = (indices[: 2 * len(known) : 2] + indices[1 : 2 * len(known) : 2]) / 2
    return np.asarray(np.exp(np.interp(np.arange(geometry.slices), middle[known], shrunk)))


def without_padding(volume: CTVolume) -> HuArray:
    """The slices with air in place of padding, [slice, y, x]."""
    if volume.padding is None:
        return volume.hu
    return np.where(volume.padding, np.float32(-1000), volume.hu)
