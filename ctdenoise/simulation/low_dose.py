"""A low-dose twin of a scan: the scan, plus the noise that it lacks."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence

import numpy as np

from ctdenoise.config.dose import SimulateSettings
from ctdenoise.core.arrays import HuArray
from ctdenoise.core.pair import Exposure, Pair
from ctdenoise.core.progress import SILENT, Progress
from ctdenoise.core.provenance import Step, digest
from ctdenoise.core.randomness import draw_seed
from ctdenoise.core.units import AIR_HU
from ctdenoise.core.volume import CTVolume
from ctdenoise.errors import SimulationError, listed
from ctdenoise.simulation.calibration import (
    Calibration,
    calibrate,
    calibration_slices,
    noise_magnitude,
    relative_exposure,
    without_padding,
)
from ctdenoise.simulation.insertion import NoiseInsertion, ScanModel
from ctdenoise.simulation.kernels import add_to_slices
from ctdenoise.simulation.noise import (
    Keys,
    NoiseStatistics,
    added_noise,
    native_noise,
    slice_keys,
)

_log = logging.getLogger(__name__)

STEP = "simulate_low_dose"
"""Name of the line of history."""

FIELD_LIMITS_MM = (20.0, 1500.0)
"""Width of a slice of a person or phantom; anything else is a mistake of units."""

HIGHEST_HU = 60_000.0
"""Above dense metal on an extended scale."""

_SMALLEST_RANGE_HU = 50.0
_OUTSIDE_WARNING = 0.01
_SAMPLE_STEP = 8
"""Every eighth pixel tells the content of a slice."""


def simulate_low_dose(
    volume: CTVolume,
    settings: SimulateSettings | None = None,
    rng: np.random.Generator | None = None,
    *,
    progress: Progress = SILENT,
) -> Pair:
    """The scan and its twin at the (first) dose of the settings.

    Args:
        volume: A scan in Hounsfield units, axial slices. A tilted gantry is simulated in the plane
            of the slices.
        settings: What to simulate; a quarter of the dose by default.
        rng: Source of randomness; the same state gives the same noise.
        progress: Told about every slice.

    Raises:
        SimulationError: If the volume is not an axial CT scan in HU and mm.

    Example:
        >>> pair = simulate_low_dose(volume, SimulateSettings(dose=0.25))  # doctest: +SKIP
    """
    settings = settings or SimulateSettings()
    first = settings.replaced(dose=settings.doses[0])
    return simulate_doses(volume, first, rng, progress=progress)[0]


def simulate_doses(
    volume: CTVolume,
    settings: SimulateSettings | None = None,
    rng: np.random.Generator | None = None,
    *,
    progress: Progress = SILENT,
) -> tuple[Pair, ...]:
    """The scan with a twin at each dose of the settings, in their order.

    The forward projection is shared. The noise of one dose is independent of that of another, and
    the same whether the dose is asked for alone or in a list.

    Args:
        volume: A scan in Hounsfield units, axial slices.
        settings: What to simulate.
        rng: Source of randomness; one seed is drawn from it and recorded.
        progress: Told about every slice.

    Raises:
        SimulationError: If the volume is not an axial CT scan in HU and mm.
    """
    settings = settings or SimulateSettings()
    seed = draw_seed(np.random.default_rng() if rng is None else rng)
    model = ScanModel.of(volume, settings)
    _check(volume, model)
    insertion = NoiseInsertion(model)
    calibration = calibrate(volume, settings, insertion)
    twins = _insert(volume, settings, seed, insertion, calibration.photons, progress)
    return tuple(
        _pair(volume, hu, dose, settings, seed, model, calibration)
        for dose, hu in zip(settings.doses, twins, strict=True)
    )


def _insert(
    volume: CTVolume,
    settings: SimulateSettings,
    seed: int,
    insertion: NoiseInsertion,
    photons: float,
    progress: Progress,
) -> list[HuArray]:
    """Voxels of each twin."""
    slices = volume.shape[0]
    exposure = relative_exposure(volume, settings)
    rules = [_statistics(dose, settings) for dose in settings.doses]
    twins = [volume.hu if rule is None else np.empty_like(volume.hu) for rule in rules]
    noisy = [i for i, rule in enumerate(rules) if rule is not None]
    with progress.stage("Simulating", slices * max(1, len(noisy))) as advance:
        for first in range(0, slices if noisy else 0, settings.slices_per_batch):
            batch = slice(first, min(first + settings.slices_per_batch, slices))
            part = volume.select(batch)
            line_integrals = insertion.project(without_padding(part))
            for i in noisy:
                rule = rules[i]
                assert rule is not None  # noqa: S101 - `noisy` holds no others
                image = insertion.draw(
                    line_integrals,
                    rule,
                    photons=(photons * exposure[batch]).astype(np.float32),
                    keys=_keys(part, seed, settings.doses[i]),
                )
                add_to_slices(image, part.hu, twins[i][batch])
                advance(batch.stop - batch.start)
    return twins


def _statistics(dose: float, settings: SimulateSettings) -> NoiseStatistics | None:
    """What noise a dose lacks; None for none at all."""
    electronic, floor = settings.electronic_noise_quanta, settings.count_floor
    if settings.source_noise == "none":
        return native_noise(dose, electronic_noise=electronic, floor=floor)
    if dose == 1:
        _log.warning("A dose of 1.0 is the scan itself: its twin is a copy without added noise.")
        return None
    return added_noise(
        dose,
        electronic_noise=electronic,
        floor=floor,
        dual_below=settings.dual_below_counts,
    )


def _keys(part: CTVolume, seed: int, dose: float) -> Keys:
    """Random words of each slice: of the seed, the dose, where the slice is and what it shows.

    The position makes equal slices of a phantom differ and lets a slice keep its noise when it is
    simulated without its neighbours. The content makes a second simulation, on top of a first
    one with the same seed, independent of it.
    """
    micrometres = np.rint(part.geometry.along_normal_mm() * 1000).astype(np.int64)
    samples = part.hu[:, ::_SAMPLE_STEP, ::_SAMPLE_STEP]
    return slice_keys(
        [
            f"{seed} {dose!r} {position} ".encode() + hashlib.blake2b(sample.tobytes()).digest()
            for position, sample in zip(micrometres, samples, strict=True)
        ]
    )


def _pair(
    volume: CTVolume,
    hu: HuArray,
    dose: float,
    settings: SimulateSettings,
    seed: int,
    model: ScanModel,
    calibration: Calibration,
) -> Pair:
    step = Step(
        STEP,
        {
            "dose_fraction": dose,
            "photons": calibration.photons,
            "calibrated_by": calibration.calibrated_by,
            "electronic_noise_quanta": settings.electronic_noise_quanta,
            "source_noise": settings.source_noise,
            "kernel": model.kernel.as_json(),
            "mu_water_per_mm": model.mu_water_per_mm,
            "source_to_isocentre_mm": model.fan.distance_mm,
            "seed": seed,
            "settings": settings.as_json(),
            "settings_digest": digest(settings.as_json()),
        },
    )
    low = volume.with_step(step) if hu is volume.hu else volume.with_hu(hu, step)
    exposure = Exposure(
        dose_fraction=dose,
        photons=calibration.photons,
        electronic_noise_quanta=settings.electronic_noise_quanta,
        full_noise_hu=calibration.full_noise_hu,
        low_noise_hu=noise_magnitude(low),
        calibrated_by=calibration.calibrated_by,
    )
    return Pair(full=volume, low=low, exposure=exposure)


def _check(volume: CTVolume, model: ScanModel) -> None:
    problems = [*_grid_problems(volume), *_value_problems(volume)]
    if problems:
        raise SimulationError(
            f"This volume cannot be simulated:\n{listed(problems)}",
            fix="Give axial CT slices in Hounsfield units with sizes in millimetres.",
        )
    outside = model.grid.radius_mm() > model.fan.field_radius_mm
    if not outside.any():
        return
    tissue = without_padding(calibration_slices(volume))[:, outside] > AIR_HU / 2
    if tissue.mean() > _OUTSIDE_WARNING:
        _log.warning(
            "Some of the patient lies outside the scan field of %.0f mm and stays without added "
            "noise. Set `scanner` to one that sees it, if the scan was made with it.",
            2 * model.fan.field_radius_mm,
        )


def _grid_problems(volume: CTVolume) -> Sequence[str]:
    problems = []
    geometry = volume.geometry
    if not geometry.is_axial:
        problems.append(
            "its slices are not axial, and each must hold a whole turn of the tube: reformat the "
            "volume so that its third axis runs along the patient"
        )
    rows_mm = geometry.rows * geometry.pixel_spacing_mm[0]
    columns_mm = geometry.columns * geometry.pixel_spacing_mm[1]
    low, high = FIELD_LIMITS_MM
    if not (low <= max(rows_mm, columns_mm) <= high):
        problems.append(
            f"its slices are {columns_mm:g} x {rows_mm:g} mm wide; check whether the pixel "
            "spacing is in millimetres"
        )
    return problems


def _value_problems(volume: CTVolume) -> Sequence[str]:
    image = volume.hu if volume.padding is None else volume.hu[~volume.padding]
    if image.size == 0:
        return ["it holds nothing but padding"]
    low, high = float(image.min()), float(image.max())
    problems = []
    if high - low < _SMALLEST_RANGE_HU:
        problems.append(
            f"its values run from {low:g} to {high:g} only; a normalised image must be turned "
            "back into Hounsfield units"
        )
    if high > HIGHEST_HU:
        problems.append(f"its highest value, {high:g}, is no Hounsfield unit")
    if low > 0 and high - low >= _SMALLEST_RANGE_HU and high > 500:
        problems.append(
            f"its lowest value is {low:g}: no air and no fat; subtract the rescale intercept"
        )
    return problems
