"""A full-dose volume and its low-dose twin."""

from __future__ import annotations

from dataclasses import dataclass, field

from ctdenoise.core.arrays import LabelArray
from ctdenoise.core.volume import CTVolume
from ctdenoise.errors import GeometryError, InputError


@dataclass(frozen=True, slots=True)
class Exposure:
    """At what dose the low-dose twin was made, and on what evidence.

    Args:
        dose_fraction: Dose of the twin over the dose of the source, in (0, 1].
        photons: N0 of the full dose: mean photons per detector element and view without an object.
        electronic_noise_quanta: Standard deviation of the electronic noise, in quanta.
        full_noise_hu: Noise magnitude measured in the source, HU; None where not measured.
        low_noise_hu: Noise magnitude measured in the twin, HU; None where not measured.
        calibrated_by: What decided N0: "noise", "exposure" or "setting".

    Raises:
        InputError: If the dose fraction is outside (0, 1].
    """

    dose_fraction: float
    photons: float
    electronic_noise_quanta: float = 0.0
    full_noise_hu: float | None = None
    low_noise_hu: float | None = None
    calibrated_by: str = "setting"

    def __post_init__(self) -> None:
        if not 0 < self.dose_fraction <= 1:
            raise InputError(f"A dose fraction of {self.dose_fraction} is not in (0, 1].")


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """The same anatomy at two doses, voxel for voxel.

    Args:
        full: The scan as it was made.
        low: Its low-dose twin.
        exposure: How the twin was made.
        labels: Segmentation, uint8 [z, y, x], 0 is background.
        label_names: Name of each label, by number.

    Raises:
        GeometryError: If the grids differ.
    """

    full: CTVolume
    low: CTVolume
    exposure: Exposure
    labels: LabelArray | None = None
    label_names: dict[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.full.geometry.matches(self.low.geometry):
            raise GeometryError("The full-dose and the low-dose volume are on different grids.")
        if self.labels is not None and self.labels.shape != self.full.shape:
            raise GeometryError(
                f"Labels of {self.labels.shape} do not fit a volume of {self.full.shape}."
            )
