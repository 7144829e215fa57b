"""A low-dose twin of a scan: the scan, plus the noise that it lacks."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace

import numpy as np

from ctdenoise.config.dose import SimulateSettings
from ctdenoise.config.kernels import HeaderKernelSettings
from ctdenoise.core.acquisition import Acquisition
from ctdenoise.core.arrays import DoubleArray, FloatArray, HuArray
from ctdenoise.core.geometry import Geometry
from ctdenoise.core.noise_level import noise_level_hu
from ctdenoise.core.pair import Exposure, Pair
from ctdenoise.core.progress import SILENT, Progress
from ctdenoise.core.provenance import Step, digest
from ctdenoise.core.randomness import draw_seed
from ctdenoise.core.volume import CTVolume
from ctdenoise.simulation.calibration import (
    Calibration,
    calibrate,
    noise_magnitude,
    sample_indices,
    stated_mas,
    without_padding,
)
from ctdenoise.simulation.checks import (
    check_sample,
    check_scanner,
    clipped_at_hu,
    with_padding_kept,
)
from ctdenoise.simulation.degradation import degradation_step, degrade
from ctdenoise.simulation.dose_noise import noise_statistics
from ctdenoise.simulation.doses import SourceNoise, dose_fractions
from ctdenoise.simulation.image_domain import ImageDomainNoise
from ctdenoise.simulation.kernels import add_to_slices
from ctdenoise.simulation.model import ScanModel
from ctdenoise.simulation.overlap import layer_weights, thickness_of
from ctdenoise.simulation.parallel import insertion_of
from ctdenoise.simulation.reconstruct import FullDataSimulator, needs_all_rays
from ctdenoise.simulation.slice_keys import keys_of_slices

_log = logging.getLogger(__name__)

STEP = "simulate_low_dose"
"""Name of the line of history."""


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
    first = settings.replaced(dose=settings.aims[0].text)
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
    sample = sample_indices(volume.geometry)
    plan = plan_simulation(
        volume.select(sample),
        settings,
        seed,
        geometry=volume.geometry,
        acquisition=volume.acquisition,
    )
    simulator = Simulator(plan)
    twins = [np.empty_like(volume.hu) for _ in plan.doses]
    with progress.stage("Simulating", volume.shape[0]) as advance:
        for block in blocks(volume.shape[0], settings.slices_per_batch):
            following = slice(block.stop, block.stop + simulator.slices_ahead)
            parts = simulator.twins(
                volume.select(block),
                first=block.start,
                ahead=volume.select(following) if volume.hu[following].size else None,
            )
            for twin, part in zip(twins, parts, strict=True):
                twin[block] = part
            advance(block.stop - block.start)
    pairs = []
    for index, hu in enumerate(twins):
        # A copy is the scan itself, bit for bit, padding included.
        step = plan.step(index)
        is_copy = plan.is_copy(index)
        low = volume.with_step(step) if is_copy else volume.with_hu(hu, step)
        pairs.append(Pair(volume, low, plan.exposure(index, low.select(sample))))
    return tuple(pairs)


def blocks(slices: int, batch: int) -> Iterator[slice]:
    """Stretches of at most `batch` slices that cover a scan, in order."""
    for first in range(0, slices, batch):
        yield slice(first, min(first + batch, slices))


@dataclass(frozen=True, eq=False)
class Plan:
    """Everything that is decided about a simulation before the first slice of a twin is made.

    Args:
        settings: What was asked for.
        seed: Same plan, same seed: same voxels.
        calibration: Scanner, kernel and photons of the scan.
        doses: Dose of each twin over the dose of the scan, in (0, 1].
        relative_exposure: Exposure of each slice of the scan over the mean, [slice].
        layer_weights: How slices share noise, [slice, slice ahead], see `overlap.layer_weights`;
            None if they do not.
        least_hu: What the scanner cut the noise of air off at; None where it did not.
    """

    settings: SimulateSettings
    seed: int
    calibration: Calibration
    doses: tuple[float, ...]
    relative_exposure: DoubleArray
    layer_weights: FloatArray | None = None
    least_hu: float | None = None

    def is_copy(self, index: int) -> bool:
        """Whether a twin is the scan itself, with nothing added."""
        if self.settings.mode == "degradation":
            return False
        adds_noise_only = not needs_all_rays(self.settings)
        full = self.doses[index] == 1 and self.settings.source_noise == "subtract"
        return full and adds_noise_only

    def step(self, index: int) -> Step:
        """The line of history of a twin.

        Args:
            index: Which of the doses.
        """
        calibration, settings = self.calibration, self.settings
        if settings.mode == "degradation":
            return degradation_step(settings, self.seed)
        model = calibration.model
        return Step(
            STEP,
            {
                "dose_fraction": self.doses[index],
                "photons": calibration.photons,
                "calibrated_by": calibration.calibrated_by,
                "electronic_noise_quanta": settings.electronic_noise_quanta,
                "mode": settings.mode,
                "source_noise": settings.source_noise,
                "kernel": model.kernel.as_json(),
                "kernel_by": calibration.kernel_by,
                "mu_water_per_mm": model.mu_water_per_mm,
                "source_to_isocentre_mm": model.fan.distance_mm,
                "channel_angle": model.fan.channel_angle,
                "channels": model.fan.channels,
                "views_per_turn": model.fan.views,
                "isocentre_offset_mm": list(model.grid.isocentre_offset_mm),
                "bowtie": model.bowtie,
                "geometry": model.geometry,
                "samples_per_channel": model.samples_per_channel,
                "rows_per_slice": model.rows,
                "angular_modulation": model.modulation,
                "radial_trend": None if model.radial_trend is None else asdict(model.radial_trend),
                "relative_exposure": np.round(self.relative_exposure, 5).tolist(),
                "exposure_by": calibration.exposure_by,
                "seed": self.seed,
                "settings": settings.deciding(),
                "settings_digest": digest(settings.deciding()),
            },
        )

    def exposure(self, index: int, low_sample: CTVolume) -> Exposure:
        """At what dose a twin was made, and on what evidence.

        Args:
            index: Which of the doses.
            low_sample: Slices of the twin that `sample_indices` names.
        """
        return Exposure(
            dose_fraction=self.doses[index],
            photons=self.calibration.photons,
            electronic_noise_quanta=self.settings.electronic_noise_quanta,
            full_noise_hu=self.calibration.full_noise_hu,
            low_noise_hu=noise_magnitude(low_sample),
            calibrated_by=self.calibration.calibrated_by,
        )


def plan_simulation(
    sample: CTVolume,
    settings: SimulateSettings,
    seed: int,
    *,
    geometry: Geometry,
    acquisition: Acquisition,
) -> Plan:
    """Check a scan, calibrate on it and settle the doses.

    Args:
        sample: The slices of the scan that `sample_indices` names.
        settings: What to simulate.
        seed: Seed of the noise.
        geometry: Grid of the whole scan.
        acquisition: Header facts of the whole scan.

    Raises:
        SimulationError: If the sample is not of an axial CT scan in HU and mm.
    """
    model = ScanModel.of(geometry, acquisition, settings)
    check_sample(sample, model)
    if settings.mode == "degradation":
        return _degradation_plan(sample, settings, seed, geometry, acquisition)
    check_scanner(model, settings, acquisition)
    calibration = calibrate(sample, settings, geometry=geometry, acquisition=acquisition)
    exposure = calibration.relative_exposure
    weights = None
    if settings.slice_correlation == "auto" and settings.mode != "reconstruction":
        positions_mm = geometry.along_normal_mm()
        thickness_mm = acquisition.slice_thickness_mm
        if thickness_mm is None and calibration.evidence is not None:
            thickness_mm = thickness_of(positions_mm, calibration.evidence.slice_correlation)
        weights = layer_weights(positions_mm, thickness_mm)
    plan = Plan(settings, seed, calibration, (), exposure, weights, clipped_at_hu(sample))
    trial = replace(plan, seed=0, relative_exposure=exposure[sample_indices(geometry)])
    noise = SourceNoise(
        calibration.full_noise_hu,
        lambda dose: _noise_of_twin(sample, replace(trial, doses=(dose,))),
        is_counted=settings.source_noise == "subtract",
    )
    doses = dose_fractions(settings.aims, mas=stated_mas(acquisition, settings), noise=noise)
    if 1.0 in doses and settings.source_noise == "subtract" and not needs_all_rays(settings):
        _log.warning("A dose of 1.0 is the scan itself: its twin is a copy without added noise.")
    return replace(plan, doses=doses)


def _noise_of_twin(sample: CTVolume, plan: Plan) -> float | None:
    """Noise level, HU, of the only twin of a plan."""
    (twin,) = Simulator(plan).twins(sample, first=0)
    return noise_level_hu(twin, sample.padding, sample.geometry.pixel_spacing_mm)


def _degradation_plan(
    sample: CTVolume,
    settings: SimulateSettings,
    seed: int,
    geometry: Geometry,
    acquisition: Acquisition,
) -> Plan:
    """One twin, for which no photons are counted; only the noise of the scan is measured."""
    uncounted = settings.replaced(photons=1.0, kernel=HeaderKernelSettings())
    calibration = calibrate(sample, uncounted, geometry=geometry, acquisition=acquisition)
    return Plan(settings, seed, replace(calibration, photons=0.0), (1.0,), np.ones(geometry.slices))


class Simulator:
    """Makes twins of a scan, one block of slices after the other.

    The result does not depend on how the scan is cut into blocks.

    Args:
        plan: What to make.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        model, settings = plan.calibration.model, plan.settings
        self._full_data: FullDataSimulator | None = None
        if needs_all_rays(settings):
            self._full_data = FullDataSimulator(model, settings, seed=plan.seed)
        else:
            self._insertion = insertion_of(model)
            self._in_image = ImageDomainNoise(model)
        shared = settings.slice_correlation == "auto" and settings.mode != "reconstruction"
        self._weights = plan.layer_weights if shared else None

    @property
    def slices_ahead(self) -> int:
        """Slices after a block that share noise with its last one."""
        return 0 if self._weights is None else self._weights.shape[1] - 1

    def twins(
        self, block: CTVolume, *, first: int, ahead: CTVolume | None = None
    ) -> tuple[HuArray, ...]:
        """Voxels of each twin, float32 HU [slice, y, x], one for each dose of the plan.

        Args:
            block: Consecutive slices of the scan. Padding is left to the caller.
            first: Index of the first of them in the scan.
            ahead: The next `slices_ahead` slices of the scan, fewer at its end. Without them the
                noise is as strong, but the last slices of the block share none with what follows.
        """
        plan = self.plan
        if plan.settings.mode == "degradation":
            return (self._degraded(block),)
        noisy = [i for i in range(len(plan.doses)) if not plan.is_copy(i)]
        twins = [block.hu] * len(plan.doses)
        if not noisy:
            return tuple(twins)
        of_block = slice(first, first + block.shape[0])
        photons = (plan.calibration.photons * plan.relative_exposure[of_block]).astype(np.float32)
        reach = self.slices_ahead
        weights = None if self._weights is None else self._weights[of_block]
        if self._full_data is not None:
            changed = self._full_data.twins(
                without_padding(block),
                [
                    noise_statistics(dose, plan.settings, rows=plan.calibration.model.rows)
                    for dose in plan.doses
                ],
                photons=photons,
                keys=[
                    keys_of_slices(block, plan.seed, dose, ahead=ahead, reach=reach)
                    for dose in plan.doses
                ],
                weights=weights,
            )
            return tuple(with_padding_kept(block.hu, twin) for twin in changed)
        line_integrals = self._insertion.project(without_padding(block))
        for i in noisy:
            dose = plan.doses[i]
            statistics = noise_statistics(dose, plan.settings, rows=plan.calibration.model.rows)
            keys = keys_of_slices(block, plan.seed, dose, ahead=ahead, reach=reach)
            if plan.settings.mode == "image_domain":
                twins[i] = block.hu + self._in_image.draw(
                    line_integrals, statistics, photons=photons, keys=keys, weights=weights
                )
                continue
            image = self._insertion.draw(
                line_integrals,
                statistics,
                photons=photons,
                keys=keys,
                weights=weights,
            )
            twins[i] = np.empty_like(block.hu)
            add_to_slices(image, block.hu, twins[i])
        if plan.least_hu is not None:
            for i in noisy:
                np.maximum(twins[i], plan.least_hu, out=twins[i])
        return tuple(with_padding_kept(block.hu, twin) for twin in twins)

    def _degraded(self, block: CTVolume) -> HuArray:
        """Slices after the degradations, [slice, y, x]."""
        plan = self.plan
        return degrade(
            without_padding(block),
            plan.settings.degradations,
            spacing_mm=block.geometry.pixel_spacing_mm,
            keys=keys_of_slices(block, plan.seed, 1.0),
        )
