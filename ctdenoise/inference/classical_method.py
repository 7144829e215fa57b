"""Classical filters as methods, the equals of networks.

The noise is measured in the pixels of each scan, as for networks that are told it: a map of its
standard deviation (`metrics.noise_map`) and its correlation (`metrics.noise_correlation`). A level
that the settings state takes the place of the measured one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from ctdenoise.config.classical import FilterName
from ctdenoise.config.inference import InferSettings
from ctdenoise.core.provenance import JsonValue, digest
from ctdenoise.core.scan import Scan
from ctdenoise.errors import UsageError
from ctdenoise.inference import bm3d_package
from ctdenoise.inference.classical_built import Filter, MeasuredNoise, built_filter
from ctdenoise.inference.classical_filters import LEAST_NOISE_HU
from ctdenoise.inference.method import Block, Estimates, Sample, Taken, shown
from ctdenoise.inference.network_method import SEEN_HU
from ctdenoise.inference.told_noise import ToldNoise, told_noise
from ctdenoise.metrics.noise_correlation import measured_correlation
from ctdenoise.simulation.threads import limit_threads

_DECIMALS = 4  # of the figures in records: rounding differs in the last bits between processors


@dataclass(frozen=True, slots=True, eq=False)
class ClassicalMethod:
    """A classical filter and its settings.

    Args:
        name: Which.
        settings: Of `infer`: those of the filter, and a stated noise.

    Raises:
        UsageError: If a GPU is asked for.
        MissingExtraError: If it needs a package that is not installed.
    """

    name: FilterName
    settings: InferSettings

    def __post_init__(self) -> None:
        if self.settings.device.startswith("cuda"):
            raise UsageError(
                f"the filter {self.name} computes on the processor alone.",
                where="device",
                fix="Leave --device out.",
            )
        if self._uses_bm3d:
            bm3d_package.require_bm3d()

    @property
    def _uses_bm3d(self) -> bool:
        inner = self.settings.filters.vst.inner
        return self.name == "bm3d" or (self.name == "vst" and inner == "bm3d")

    @property
    def description(self) -> str:
        """What computes, in a few words."""
        if self._uses_bm3d:
            return f"bm3d {bm3d_package.bm3d_version()} cpu"
        return "scipy cpu float32" if self.name == "gaussian" else "numba cpu float32"

    @property
    def digest(self) -> str:
        """Changes with the filter, its settings and, for BM3D, its version."""
        used = [bm3d_package.bm3d_version()] if self._uses_bm3d else []
        return digest([self.name, self._own_settings, *used], length=12)

    @property
    def _own_settings(self) -> dict[str, JsonValue]:
        return self.settings.filters.of(self.name)

    @property
    def params(self) -> Mapping[str, JsonValue]:
        """The settings of the filter."""
        return {"filter": self._own_settings}

    @property
    def class_names(self) -> tuple[str, ...]:
        """It labels nothing."""
        return ()

    @property
    def states_error(self) -> bool:
        """It does not know its error."""
        return False

    @property
    def context(self) -> int:
        """It looks at one slice at a time."""
        return 0

    def block_slices(self, shape: tuple[int, int]) -> int:
        """One slice at a time.

        Args:
            shape: Their size along (y, x).
        """
        del shape
        return 1

    def settle(self, sample: Sample, scan: Scan) -> SettledFilter:
        """Measure the noise, and what the filter derives from it.

        Args:
            sample: Some slices of the scan.
            scan: What is known of all of them.
        """
        limit_threads(torch.get_num_threads())
        told = told_noise(sample, self.settings)
        volume = sample.volume
        correlation = measured_correlation(
            volume.hu, volume.padding, scan.geometry.pixel_spacing_mm, told.map
        )
        noise = MeasuredNoise(told, correlation, scan.geometry.pixel_spacing_mm)
        function, derived = built_filter(self.name, self.settings.filters, noise, sample)
        measured = {
            **told.params(),
            "noise_correlation": [
                round(float(value), _DECIMALS) for value in correlation.at([1, 0], [0, 1])
            ],
            "noise_patches": correlation.patches,
            **derived,
        }
        return SettledFilter(function, told, measured)


@dataclass(frozen=True, slots=True, eq=False)
class SettledFilter:
    """A filter that has measured the noise of a scan.

    Args:
        function: The filter.
        told: The noise around every pixel.
        params: What was measured.
    """

    function: Filter
    told: ToldNoise
    params: Mapping[str, JsonValue]

    def take(self, block: Block, *, labels: bool = False, error: bool = False) -> Taken:
        """What the filter takes away; see `SettledMethod`.

        Args:
            block: Slices.
            labels: Never asked for.
            error: Never asked for.
        """
        del labels, error
        limit_threads(torch.get_num_threads())
        wanted = block.wanted
        seen = shown(wanted, SEEN_HU)
        removed = np.empty(wanted.shape, dtype=np.float32)
        for index, place in enumerate(block.places):
            sd_hu = self.told.slices(range(place, place + 1), wanted)[0]
            sd_hu = np.maximum(sd_hu, np.float32(LEAST_NOISE_HU))
            removed[index] = seen[index] - self.function(seen[index], sd_hu)
        return Taken(removed, Estimates())
