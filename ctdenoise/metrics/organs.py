"""Figures of each organ of a label map on the reference.

The label map says which voxels belong to an organ, up to its border: where masks run along the
edge of an organ, partial volume is part of its mean and of its error. Noise is the mode of the
standard deviation of detrended patches that lie wholly inside the organ (`core.noise_level`), so
that vessels and borders do not count; thin organs hold no patch and have none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy import ndimage

from ctdenoise.core.arrays import BoolArray, DoubleArray, LabelArray
from ctdenoise.core.noise_level import (
    FEWEST_PATCHES,
    PATCH_MM,
    level_of_patches,
    noise_patches,
    patch_pixels,
)
from ctdenoise.metrics.fidelity import DifferenceSums
from ctdenoise.metrics.noise import noise_change_percent
from ctdenoise.metrics.table import Conventions, Metric

_EVERY_HU = (-np.inf, np.inf)


@dataclass(frozen=True, slots=True, eq=False)
class OrganSums:
    """What one slice says about an organ.

    Args:
        differences: Test minus reference.
        reference_hu: Sum of the reference, HU.
        patches: Noise patches of the reference, then of the test; see `noise_patches`.
    """

    differences: DifferenceSums
    reference_hu: float
    patches: tuple[DoubleArray, DoubleArray]


def organ_sums(
    labels: LabelArray,
    reference: DoubleArray,
    test: DoubleArray,
    padding: BoolArray | None,
    *,
    pixel_spacing_mm: tuple[float, float],
) -> dict[int, OrganSums]:
    """What one slice says about each organ that it shows.

    Args:
        labels: Class of each pixel, uint8 [y, x]; 0 is none.
        reference: HU [y, x].
        test: HU [y, x].
        padding: Pixels that never count; None for none.
        pixel_spacing_mm: Along (rows, columns).
    """
    found = {}
    least = patch_pixels(pixel_spacing_mm)
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is None:
            continue
        inside = labels[box] == number
        if padding is not None:
            inside &= ~padding[box]
        images = [image[box] for image in (reference, test)]
        patches = [np.zeros((2, 0))] * 2
        if min(inside.shape) >= least:
            patches = [
                noise_patches(
                    image.astype(np.float32), inside, pixel_spacing_mm, tissue_hu=_EVERY_HU
                )
                for image in images
            ]
        values = images[0][inside]
        found[number] = OrganSums(
            DifferenceSums.of(images[1][inside] - values),
            float(values.sum()),
            (patches[0], patches[1]),
        )
    return found


@dataclass(slots=True)
class Organ:
    """An organ over the slices seen so far.

    Args:
        differences: Test minus reference, slice by slice.
        reference_hu: Sum of the reference, HU.
        patches: Noise patches of the reference and of the test.
    """

    differences: list[DifferenceSums] = field(default_factory=list)
    reference_hu: float = 0.0
    patches: tuple[list[DoubleArray], list[DoubleArray]] = field(default_factory=lambda: ([], []))

    def add(self, sums: OrganSums) -> None:
        """Count another slice."""
        self.differences.append(sums.differences)
        self.reference_hu += sums.reference_hu
        for kept, patches in zip(self.patches, sums.patches, strict=True):
            kept.append(patches)


def organ_metrics(
    organs: Sequence[tuple[str, Organ]], *, pixel_spacing_mm: tuple[float, float]
) -> Iterator[Metric]:
    """Figures of the organs; one that the label map does not show has none.

    Args:
        organs: Name and sums of each.
        pixel_spacing_mm: Along (rows, columns).
    """
    for name, organ in organs:
        total = sum(organ.differences, DifferenceSums())
        if not total.count:
            continue
        yield from _errors(name, total)
        yield from _means(name, total, organ.reference_hu / total.count)
        yield from _noise(name, organ, pixel_spacing_mm)


def _conventions(name: str) -> Conventions:
    return Conventions(
        window="none",
        mask=f"{name} in the mask of the reference, without padding",
        reduction="over all its voxels",
    )


def _errors(name: str, total: DifferenceSums) -> Iterator[Metric]:
    common = _conventions(name)
    yield Metric(
        f"organ_rmse[{name}]",
        f"RMSE, {name}",
        total.rmse,
        "HU",
        better="lower",
        description="Root mean squared difference in an organ.",
        **common,
    )
    yield Metric(
        f"organ_mae[{name}]",
        f"MAE, {name}",
        total.mae,
        "HU",
        better="lower",
        description="Mean absolute difference in an organ.",
        **common,
    )
    yield Metric(
        f"organ_bias[{name}]",
        f"Bias, {name}",
        total.bias,
        "HU",
        better="near zero",
        description="Mean difference in an organ, test minus reference.",
        **common,
    )


def _means(name: str, total: DifferenceSums, reference_hu: float) -> Iterator[Metric]:
    values = {"reference": reference_hu, "test": reference_hu + (total.bias or 0.0)}
    for image, value in values.items():
        yield Metric(
            f"organ_mean_{image}[{name}]",
            f"Mean of the {image}, {name}",
            value,
            "HU",
            better="neither",
            description=f"Mean of the {image} in an organ.",
            **_conventions(name),
        )


def _noise(name: str, organ: Organ, pixel_spacing_mm: tuple[float, float]) -> Iterator[Metric]:
    levels = [level_of_patches(patches, pixel_spacing_mm) for patches in organ.patches]
    common = _conventions(name)
    common["mask"] = f"patches wholly inside {name} in the mask of the reference"
    common["reduction"] = f"mode of the standard deviation of detrended {PATCH_MM:g} mm patches"
    note = "" if None not in levels else f"fewer than {FEWEST_PATCHES} patches lie inside"
    for image, level in zip(("reference", "test"), levels, strict=True):
        yield Metric(
            f"organ_noise_{image}[{name}]",
            f"Noise of the {image}, {name}",
            level,
            "HU",
            better="neither",
            description=f"Noise magnitude of the {image} in an organ.",
            note=note if level is None else "",
            **common,
        )
    change = noise_change_percent(*levels)
    yield Metric(
        f"organ_noise_change[{name}]",
        f"Change of the noise, {name}",
        change,
        "%",
        better="neither",
        description="Noise magnitude of the test against the reference in an organ.",
        note=note or ("the reference has no noise" if change is None else ""),
        **common,
    )
