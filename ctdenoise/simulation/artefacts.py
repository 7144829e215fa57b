"""Artefacts of the data of a scan: views not measured, metal, channels that measure wrongly."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import float32, prange

from ctdenoise.config.artefacts import ArtefactSettings
from ctdenoise.core.arrays import BoolArray, FloatArray, HuArray
from ctdenoise.core.units import AIR_HU, WATER_HU
from ctdenoise.simulation.beam import kvp_of
from ctdenoise.simulation.detector_faults import DetectorFaults, detector_faults
from ctdenoise.simulation.full_projection import FullProjector
from ctdenoise.simulation.measured_views import ray_weights
from ctdenoise.simulation.metal import harden, hardening_table, without_linear_part
from ctdenoise.simulation.model import ScanModel
from ctdenoise.simulation.vectors import aligned_zeros, inlined, parallel_kernel


class Hardening(NamedTuple):
    """What metal does to the rays of some slices, [view, channel, lane] each."""

    artefact: FloatArray
    """Change of the log data that shows in the image."""
    extra: FloatArray
    """How much more a ray is attenuated than the scan's pixels say."""


class Artefacts:
    """The artefacts of one scan.

    Args:
        model: The scanner.
        settings: Which artefacts.
        count_floor: Least counts before the logarithm, which bounds what is measured behind metal.
        seed: Same seed, same faults of the detector.
    """

    def __init__(
        self, model: ScanModel, settings: ArtefactSettings, *, count_floor: float, seed: int
    ) -> None:
        self.settings = settings
        self._floor = count_floor
        self._weights = ray_weights(model.fan, settings).astype(np.float32)
        self._faults = detector_faults(model.fan.channels, settings.rings, seed=seed)
        mu_water = model.mu_water_per_mm
        self._table = hardening_table(
            settings.metal.material, kvp=kvp_of(mu_water), mu_water_per_mm=mu_water
        )

    def is_metal(self, hu: HuArray) -> BoolArray:
        """Which pixels are metal, [slice, y, x]; they keep the values that the scan shows.

        Metal at its true attenuation would lie far beyond the scale; what is drawn at its upper end
        stays there.
        """
        return np.asarray(hu > self.settings.metal.threshold_hu) & self.settings.metal.enabled

    def hardening(
        self, hu: HuArray, scan: FloatArray, projector: FullProjector, photons: FloatArray
    ) -> Hardening | None:
        """What the metal in some slices does; None where there is none.

        Args:
            hu: The slices, [slice, y, x].
            scan: Their line integrals, [view, channel, lane].
            projector: That made them.
            photons: N0 at full dose, [slice].
        """
        is_metal = self.is_metal(hu)
        if not is_metal.any():
            return None
        soft = projector.project(np.where(is_metal, np.float32(AIR_HU), hu))
        indicator = np.where(is_metal, np.float32(WATER_HU), np.float32(AIR_HU))
        metal_mm = projector.project(indicator, mu_water_per_mm=1.0)
        ceilings = np.full(scan.shape[2], np.inf, np.float32)
        ceilings[: len(photons)] = np.log(np.maximum(photons / self._floor, math.e))
        extra = aligned_zeros(*scan.shape)
        harden(scan, soft, metal_mm, self._table, ceilings, extra)
        return Hardening(without_linear_part(soft, metal_mm), extra)

    def alter(
        self,
        data: FloatArray,
        *,
        scan: FloatArray,
        hardening: Hardening | None,
        weights: FloatArray,
        without_scan: bool,
    ) -> None:
        """Turn the noise of log data into all that is to be reconstructed, in place.

        With the line integrals p, their noise and hardening e and the ray weights M this is
        M (p + e) - p, or M (p + e) for a scan that is reconstructed anew.

        Args:
            data: Noise of the log data times `weights`, [view, channel, lane].
            scan: p.
            hardening: What metal adds.
            weights: Factor on each channel, [channel].
            without_scan: Whether p is subtracted.
        """
        added = scan[:0] if hardening is None else hardening.artefact
        own = 1.0 if without_scan else 0.0
        _alter(data, scan, added, self._weights, self._faults, weights, own)


@inlined
def _fill_dead(
    data: FloatArray, scan: FloatArray, faults: DetectorFaults, weights: FloatArray
) -> None:
    """Let dead channels of a view, [channel, lane], show what their neighbours interpolate to."""
    for index in range(faults.dead.shape[0]):
        channel, fraction = faults.dead[index], faults.fraction[index]
        before, after = faults.before[index], faults.after[index]
        for lane in range(data.shape[1]):
            left = scan[before, lane] + data[before, lane] / weights[before]
            right = scan[after, lane] + data[after, lane] / weights[after]
            filled = (float32(1.0) - fraction) * left + fraction * right
            data[channel, lane] = weights[channel] * (filled - scan[channel, lane])


@parallel_kernel
def _alter(
    data: FloatArray,
    scan: FloatArray,
    added: FloatArray,
    ray_weights: FloatArray,
    faults: DetectorFaults,
    weights: FloatArray,
    own: float,
) -> None:
    """See `Artefacts.alter`; `added` may have no views."""
    views, channels, lanes = data.shape
    for view in prange(views):
        if added.shape[0] > 0:
            for channel in range(channels):
                for lane in range(lanes):
                    data[view, channel, lane] += weights[channel] * added[view, channel, lane]
        for channel in range(channels):
            offset = weights[channel] * faults.log_gain[channel]
            for lane in range(lanes):
                data[view, channel, lane] += offset
        _fill_dead(data[view], scan[view], faults, weights)
        for channel in range(channels):
            factor = ray_weights[view, channel]
            share = (factor - float32(own)) * weights[channel]
            for lane in range(lanes):
                value = factor * data[view, channel, lane]
                data[view, channel, lane] = value + share * scan[view, channel, lane]
