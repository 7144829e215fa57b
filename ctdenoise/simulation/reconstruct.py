"""Scans of which every line integral is needed: reconstructed anew, or given artefacts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np

from ctdenoise.config.artefacts import ArtefactSettings
from ctdenoise.config.dose import SimulateSettings
from ctdenoise.core.arrays import DoubleArray, FloatArray, HuArray
from ctdenoise.core.units import AIR_HU, HU_PER_RELATIVE_ATTENUATION
from ctdenoise.errors import SimulationError
from ctdenoise.simulation.artefacts import Artefacts
from ctdenoise.simulation.counting import count_photons
from ctdenoise.simulation.fbp import FilteredBackProjection, channel_weights
from ctdenoise.simulation.flux import add_flux_loss
from ctdenoise.simulation.full_projection import FullProjector
from ctdenoise.simulation.insertion import Alteration, NoiseInsertion
from ctdenoise.simulation.kernels import add_to_slices
from ctdenoise.simulation.model import ScanModel
from ctdenoise.simulation.noise import NO_NOISE, Keys, NoiseStatistics, native_noise, slice_keys
from ctdenoise.simulation.vectors import LANES, aligned_zeros


def needs_all_rays(settings: SimulateSettings) -> bool:
    """Whether settings ask for what `FullDataSimulator` makes, or for less than that."""
    reconstructs = settings.mode == "reconstruction"
    return reconstructs or (settings.mode == "insertion" and not settings.artefacts.is_none)


class FullDataSimulator:
    """Twins of slices of a scan by way of all its line integrals, sixteen slices at a time.

    Memory does not grow with the scan: about 0.4 GB for 1,152 views of 736 channels.

    Args:
        model: The scanner.
        settings: Mode `insertion` with artefacts, or mode `reconstruction` with or without.
        seed: Same seed, same faults of the detector.
    """

    def __init__(self, model: ScanModel, settings: SimulateSettings, *, seed: int) -> None:
        self.model = model
        self._reconstructs = settings.mode == "reconstruction"
        self._projector = FullProjector(model)
        self._artefacts = Artefacts(
            model, settings.artefacts, count_floor=settings.count_floor * model.rows, seed=seed
        )
        # The shadow of metal is too narrow for the few rays that usually set the variances.
        self._every_ray = settings.artefacts.metal.enabled
        if self._reconstructs:
            self._reconstruction = _Reconstruction(model)
        else:
            self._insertion = NoiseInsertion(model, every_ray=self._every_ray)

    def twins(
        self,
        hu: HuArray,
        statistics: Sequence[NoiseStatistics],
        *,
        photons: FloatArray,
        keys: Sequence[Keys],
        weights: FloatArray | None = None,
    ) -> list[HuArray]:
        """Voxels of each twin, HU [slice, y, x].

        Args:
            hu: Slices of the scan, padding as air.
            statistics: What noise each twin gains.
            photons: N0 at full dose of each slice, [slice].
            keys: Random words for each twin, [2, slice], and of the slices after the last that
                share noise with it.
            weights: How slices share noise, as `NoiseInsertion.draw` takes it; scans that are
                reconstructed anew do not.
        """
        ahead = 0 if weights is None else weights.shape[1] - 1
        twins = [np.empty_like(hu) for _ in statistics]
        for first in range(0, len(hu), LANES):
            part = slice(first, first + LANES)
            words = [each[:, first : first + LANES + ahead] for each in keys]
            if self._reconstructs:
                images = self._reconstructed(hu[part], statistics, photons[part], words)
            else:
                shared = None if weights is None else weights[part]
                images = self._inserted(hu[part], statistics, photons[part], words, shared)
            is_metal = self._artefacts.is_metal(hu[part])
            for twin, image in zip(twins, images, strict=True):
                twin[part] = np.where(is_metal, hu[part], image)
        return twins

    def _inserted(
        self,
        hu: HuArray,
        statistics: Sequence[NoiseStatistics],
        photons: FloatArray,
        keys: Sequence[Keys],
        weights: FloatArray | None,
    ) -> Iterator[HuArray]:
        """Slices with noise and artefacts added."""
        scan = self._projector.project(hu)
        line_integrals = self._insertion.project(hu)
        alter = self._alteration(hu, scan, line_integrals, photons, without_scan=True)
        for spread, words in zip(statistics, keys, strict=True):
            image = self._insertion.draw(
                line_integrals, spread, photons=photons, keys=words, weights=weights, alter=alter
            )
            twin = np.empty_like(hu)
            add_to_slices(image, hu, twin)
            yield twin

    def _reconstructed(
        self,
        hu: HuArray,
        statistics: Sequence[NoiseStatistics],
        photons: FloatArray,
        keys: Sequence[Keys],
    ) -> Iterator[HuArray]:
        """Slices counted and reconstructed again; outside the scan field as they were."""
        scan = self._projector.project(hu)
        counted = scan.copy()
        alter = self._alteration(hu, scan, counted, photons, without_scan=False)
        for spread, words in zip(statistics, keys, strict=True):
            yield self._reconstruction.slices(counted, spread, photons, words, alter, around=hu)

    def _alteration(
        self,
        hu: HuArray,
        scan: FloatArray,
        line_integrals: FloatArray,
        photons: FloatArray,
        *,
        without_scan: bool,
    ) -> Alteration:
        """What the artefacts do to log data; metal is added to the line integrals of the counts."""
        of_sample = photons / np.float32(self.model.samples_per_channel)
        hardening = self._artefacts.hardening(hu, scan, self._projector, of_sample)
        if hardening is not None:
            line_integrals += hardening.extra
        return partial(
            self._artefacts.alter,
            scan=scan,
            hardening=hardening,
            weights=channel_weights(self.model.fan),
            without_scan=without_scan,
        )


class _Reconstruction:
    """Counts photons and reconstructs.

    Args:
        model: The scanner.
    """

    def __init__(self, model: ScanModel) -> None:
        self.model = model
        self._fbp = FilteredBackProjection(model.fan, model.grid, model.kernel)
        self._outside = model.grid.radius_mm() > model.fan.field_radius_mm

    def slices(
        self,
        line_integrals: FloatArray,
        statistics: NoiseStatistics,
        photons: FloatArray,
        keys: Keys,
        alter: Alteration,
        *,
        around: HuArray,
    ) -> HuArray:
        """Slices in HU, [slice, y, x].

        Args:
            line_integrals: Attenuation of every ray, [view, channel, lane].
            statistics: What noise the counts have.
            photons: N0 at full dose of each slice, [slice].
            keys: Random words of the slices, [2, slice].
            alter: Turns the noise of the log data into log data.
            around: What stands outside the scan field, [slice, y, x].
        """
        model = self.model
        counted = line_integrals.copy()
        add_flux_loss(
            counted,
            model.fan,
            bowtie=model.bowtie,
            modulation=model.modulation,
            mu_water_per_mm=model.mu_water_per_mm,
        )
        data = aligned_zeros(*line_integrals.shape)
        statistics = model.of_sample(statistics)
        photons = photons / np.float32(model.samples_per_channel)
        count_photons(counted, statistics, photons=photons, keys=keys, out=data)
        data *= self._fbp.channel_weights[:, None]
        alter(data)
        scale = HU_PER_RELATIVE_ATTENUATION / model.mu_water_per_mm
        image = self._fbp.filter_and_back_project(data, scale)
        hu = image[:, :, : len(around)].transpose(2, 0, 1) + np.float32(AIR_HU)
        return np.where(self._outside, around, hu)


def reconstruct_scan(
    line_integrals: FloatArray | DoubleArray,
    model: ScanModel,
    *,
    photons: float | None = None,
    electronic_noise_quanta: float = 5.5,
    count_floor: float = 1.0,
    artefacts: ArtefactSettings | None = None,
    seed: int = 0,
) -> HuArray:
    """Slices of a scan of which all line integrals are known, such as those of exact shapes.

    Counts Poisson(N0 flux exp(-p)) photons, adds electronic noise, takes the logarithm and
    reconstructs by filtered back-projection.

    Args:
        line_integrals: Attenuation p of every ray of `model.fan`, no unit, [view, channel] or
            [view, channel, slice]. The ray of view b and channel g is the line
            x cos(b + g) + y sin(b + g) = distance * sin(g).
        model: The scanner; `ScanModel.of` makes one from settings.
        photons: N0 at the dose of the scan; None for a scan without noise.
        electronic_noise_quanta: Standard deviation of the electronic noise.
        count_floor: Counts are raised to this before the logarithm.
        artefacts: Views left out and channels that measure wrongly. Metal is not among them: it
            needs pixels.
        seed: Same seed, same noise.

    Returns:
        HU, [slice, y, x]; air outside the scan field.

    Raises:
        SimulationError: If the line integrals are not finite or not of this fan, or metal is asked
            for.
    """
    settings = artefacts or ArtefactSettings()
    data = _as_lanes(line_integrals, model, settings)
    count = 1 if line_integrals.ndim == 2 else line_integrals.shape[2]
    n0 = np.full(LANES, 1.0 if photons is None else photons, np.float32)
    statistics = NO_NOISE
    if photons is not None:
        statistics = native_noise(1.0, electronic_noise=electronic_noise_quanta, floor=count_floor)
    faults = Artefacts(model, settings, count_floor=count_floor, seed=seed)
    reconstruction = _Reconstruction(model)
    result = np.full((count, model.grid.rows, model.grid.columns), AIR_HU, np.float32)
    for first in range(0, count, LANES):
        scan = aligned_zeros(model.fan.views, model.fan.channels, LANES)
        part = result[first : first + LANES]
        scan[:, :, : len(part)] = data[:, :, first : first + LANES]
        keys = slice_keys([f"{seed} {first + i}".encode() for i in range(len(part))])
        alter = partial(
            faults.alter,
            scan=scan,
            hardening=None,
            weights=channel_weights(model.fan),
            without_scan=False,
        )
        part[...] = reconstruction.slices(
            scan, statistics, n0[: len(part)], keys, alter, around=part
        )
    return result


def _as_lanes(
    line_integrals: FloatArray | DoubleArray, model: ScanModel, settings: ArtefactSettings
) -> FloatArray | DoubleArray:
    """The line integrals as [view, channel, slice], checked."""
    expected = (model.fan.views, model.fan.channels)
    if line_integrals.ndim not in {2, 3} or line_integrals.shape[:2] != expected:
        raise SimulationError(
            f"Line integrals of shape {line_integrals.shape} are not those of this fan.",
            fix=f"Give {expected[0]} views of {expected[1]} channels, then slices.",
        )
    if not np.isfinite(line_integrals).all():
        raise SimulationError("Line integrals must be finite.")
    if settings.metal.enabled:
        raise SimulationError(
            "Metal cannot be added to line integrals: which rays meet it is not known.",
            fix="Simulate the voxels instead, with artefacts.metal.",
        )
    return line_integrals.reshape(*expected, -1)
