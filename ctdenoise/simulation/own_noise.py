"""More of the noise that a scan has already, drawn for its patches while a network trains."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ctdenoise.config.dose import SimulateSettings
from ctdenoise.core.acquisition import Acquisition
from ctdenoise.core.arrays import FloatArray, HuArray
from ctdenoise.core.geometry import Geometry
from ctdenoise.core.volume import CTVolume
from ctdenoise.errors import SimulationError
from ctdenoise.simulation.calibration import calibrate
from ctdenoise.simulation.checks import check_sample
from ctdenoise.simulation.fresh_noise import FreshNoise
from ctdenoise.simulation.model import ScanModel
from ctdenoise.simulation.overlap import layer_weights, thickness_of
from ctdenoise.simulation.patch_noise import IndexArray, Places
from ctdenoise.simulation.recorded import RecordedScan


class MoreOwnNoise:
    """Draws noise like that of a scan, so strong that it has the noise of a lower dose with it.

    The variance of noise goes with the inverse of the dose, so what a dose d lacks is the own noise
    times the root of 1/d - 1, in the same texture. That a scanner's electronic noise does not
    follow the dose is left aside: it is about the scan's own noise, not about that of another.

    Args:
        scan: What its noise was measured to be, see `scan_of_noise`.
        stored: Slices of it, HU, [slice, y, x].
        padding: Value of pixels outside the reconstruction circle, which count as air.
        first: Index of the first of the slices in the scan.

    Raises:
        OutputError: If the maps find no room where temporary files are kept.
    """

    def __init__(
        self, scan: RecordedScan, stored: npt.NDArray[np.int16], *, padding: int, first: int
    ) -> None:
        self._own = FreshNoise(scan, stored, padding=padding, first=first, doses=(1.0, 1.0))

    def draw(
        self, index: int, place: tuple[int, int], size: int, *, dose: float, seed: int
    ) -> HuArray:
        """Noise of a square patch, HU, [y, x]; arguments as for `FreshNoise.draw`."""
        noise = self._own.draw(index, place, size, dose=1.0, seed=seed)
        return noise * np.float32(_times(dose))

    def draw_all(self, places: Places, doses: Sequence[float], seeds: Sequence[int]) -> HuArray:
        """Noise of many patches, HU, [patch, y, x]; arguments as for `FreshNoise.draw_all`."""
        noise = self._own.draw_all(places, [1.0] * len(doses), seeds)
        times = np.array([_times(dose) for dose in doses], np.float32)
        return noise * times[:, None, None]

    def draw_around(
        self,
        places: Places,
        around: IndexArray,
        doses: Sequence[float],
        seeds: Sequence[int],
    ) -> HuArray:
        """Noise of neighbouring slices, HU; arguments as for `FreshNoise.draw_around`."""
        noise = self._own.draw_around(places, around, [1.0] * len(doses), seeds)
        times = np.array([_times(dose) for dose in doses], np.float32)
        return noise * times[:, None, None, None]

    def deviation(
        self, index: int, place: tuple[int, int], size: int, *, dose: float
    ) -> FloatArray:
        """Standard deviation of what `draw` draws, HU, [y, x]; arguments as for it."""
        own = self._own.deviation(index, place, size, dose=1.0)
        return own * np.float32(_times(dose))


def scan_of_noise(
    sample: CTVolume, *, geometry: Geometry, acquisition: Acquisition
) -> RecordedScan:
    """Texture and strength of the noise of a scan, measured from its pixels.

    Args:
        sample: The slices of the scan that `calibration.sample_indices` names.
        geometry: Grid of the whole scan.
        acquisition: Header facts of the whole scan.

    Raises:
        SimulationError: If it is no axial CT scan, or its noise cannot be measured.
    """
    settings = SimulateSettings()
    check_sample(sample, ScanModel.of(geometry, acquisition, settings))
    found = calibrate(sample, settings, geometry=geometry, acquisition=acquisition)
    if found.calibrated_by != "noise":
        raise SimulationError(
            "The noise of this scan cannot be measured: it shows too little of it, or too little "
            "soft tissue.",
            fix="Leave the series out, or train with supervision.name=noise2sim.",
        )
    photons = (found.photons * found.relative_exposure).astype(np.float32)
    positions_mm = geometry.along_normal_mm()
    thickness_mm = acquisition.slice_thickness_mm
    if found.evidence is not None and found.evidence.slice_correlation is not None:
        thickness_mm = thickness_of(positions_mm, found.evidence.slice_correlation)
    return RecordedScan(
        settings.replaced(source_noise="none"),
        found.model,
        photons,
        layer_weights(positions_mm, thickness_mm),
    )


def _times(dose: float) -> float:
    """Noise that a dose lacks over that of the full dose."""
    return float(np.sqrt(1 / dose - 1))
