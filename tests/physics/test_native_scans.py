"""Twins against native low-dose scans: counted photons, logarithm, reconstruction."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
import pytest

from ctdenoise.core.geometry import Geometry
from ctdenoise.core.volume import CTVolume
from ctdenoise.simulation.fbp import FilteredBackProjection
from ctdenoise.simulation.scanner import Fan, PixelGrid
from ctdenoise.simulation.vectors import aligned_zeros
from tests.physics.fan_scan import (
    MU_WATER,
    Array,
    ellipse_integrals,
    noise_of,
    settings,
    small_fan,
)

SIZE, SPACING = 96, 2.5
SLICES = 128
PHOTONS = 1.5e5
ELECTRONIC = 5.5
BLOCK = 8
"""Pixels along a side of the blocks whose noise is compared: 20 mm."""


@dataclass(frozen=True)
class Part:
    """An ellipse along the axes, mm, that adds to the attenuation of water."""

    half_axes: tuple[float, float]
    centre: tuple[float, float]
    relative: float


CHEST = (
    Part((108.0, 78.0), (0.0, 0.0), 1.0),
    Part((36.0, 52.0), (-50.0, -5.0), -0.78),  # lungs
    Part((36.0, 52.0), (50.0, -5.0), -0.78),
    Part((13.0, 14.0), (0.0, 50.0), 0.5),  # spine
    Part((18.0, 14.0), (6.0, -20.0), 0.05),  # heart
    Part((5.0, 5.0), (-45.0, 10.0), 0.8),  # a nodule
)


def chest() -> CTVolume:
    """The chest as pixels, edges drawn with 4 x 4 samples."""
    fine = (np.arange(4 * SIZE) - (4 * SIZE - 1) / 2) * SPACING / 4
    image = np.zeros((SIZE, SIZE))
    for part in CHEST:
        (a, b), (x, y) = part.half_axes, part.centre
        inside = ((fine[None] - x) / a) ** 2 + ((fine[:, None] - y) / b) ** 2 <= 1
        image += part.relative * inside.reshape(SIZE, 4, SIZE, 4).mean(axis=(1, 3))
    geometry = Geometry.axial((SLICES, SIZE, SIZE), pixel_spacing_mm=SPACING, slice_spacing_mm=2.0)
    hu = (1000 * (image - 1)).astype(np.float32)
    return CTVolume(np.repeat(hu[None], SLICES, axis=0), geometry)


def chest_integrals(fan: Fan) -> Array:
    return MU_WATER * sum(
        part.relative * ellipse_integrals(fan, part.half_axes, centre_mm=part.centre)
        for part in CHEST
    )


def counted(dose: float, seed: int) -> Array:
    """Noise images, HU, [slice, y, x], of scans that count photons."""
    fan, rng = small_fan(), np.random.default_rng(seed)
    expected = dose * PHOTONS * np.exp(-chest_integrals(fan))
    middle = (SIZE - 1) / 2
    grid = PixelGrid(SIZE, SIZE, SPACING, SPACING, middle, middle)
    fbp = FilteredBackProjection(fan, grid, settings().kernel)
    parts = []
    for _ in range(0, SLICES, 32):
        counts = rng.poisson(np.repeat(expected[:, :, None], 32, axis=2))
        readings = np.maximum(counts + rng.normal(0, ELECTRONIC, counts.shape), 1)
        data = aligned_zeros(*counts.shape)
        data[...] = -np.log(readings / expected[:, :, None])
        parts.append(fbp.reconstruct(data).transpose(2, 0, 1) * (1000 / MU_WATER))
    return np.concatenate(parts).astype(np.float64)


def body() -> npt.NDArray[np.bool_]:
    """Pixels well inside the chest."""
    axis = (np.arange(SIZE) - (SIZE - 1) / 2) * SPACING
    a, b = CHEST[0].half_axes
    return np.asarray((axis[None] / a) ** 2 + (axis[:, None] / b) ** 2 < 0.9)


def block_variances(noise: Array) -> tuple[Array, Array]:
    """Variance about the mean image in each block of the body, and its standard error."""
    count = SIZE // BLOCK
    inside = body().reshape(count, BLOCK, count, BLOCK).all(axis=(1, 3))
    squares = (noise - noise.mean(axis=0)) ** 2 * (len(noise) / (len(noise) - 1))
    each = squares.reshape(len(noise), count, BLOCK, count, BLOCK).mean(axis=(2, 4))[:, inside]
    return each.mean(axis=0), each.std(axis=0, ddof=1) / np.sqrt(len(noise))


@cache
def full_scan() -> Array:
    return counted(1.0, seed=21)


@cache
def comparison(dose: float) -> dict[str, Array]:
    """Of each block inside the chest: ratio of standard deviations and its error; biases."""
    low, full = counted(dose, seed=22), full_scan()
    twin = noise_of(chest(), seed=3, dose=dose, photons=PHOTONS, electronic_noise_quanta=ELECTRONIC)
    (of_low, low_error), (of_full, full_error) = block_variances(low), block_variances(full)
    of_twin, twin_error = block_variances(twin)
    total = of_twin + of_full
    relative = np.hypot(low_error / of_low, np.hypot(twin_error, full_error) / total)
    inside = body()
    variances = low.var(axis=0) + full.var(axis=0) + twin.var(axis=0)
    return {
        "ratio": np.sqrt(total / of_low),
        "error": relative / 2,
        "counted_bias": (low.mean(axis=0) - full.mean(axis=0))[inside],
        "twin_bias": twin.mean(axis=0)[inside],
        "mean_variance": variances[inside] / SLICES,
    }


@pytest.mark.parametrize("dose", [0.25, 0.1])
def test_twins_of_a_chest_have_the_noise_of_native_scans(dose):
    found = comparison(dose)
    error = found["error"].mean() / np.sqrt(len(found["error"]))
    assert len(found["ratio"]) > 20
    assert error < 0.005
    # Edges drawn in pixels of 2.5 mm shift the counts behind them a little.
    assert found["ratio"].mean() == pytest.approx(1, abs=0.01 + 4 * error)


@pytest.mark.parametrize("dose", [0.25, 0.1])
def test_twins_of_a_chest_are_right_in_every_region(dose):
    """5 % in every block of 20 mm; nine of ten within 2 %; each beside its sampling error."""
    found = comparison(dose)
    assert found["error"].max() < 0.03
    assert (np.abs(found["ratio"] - 1) < 0.05 + 3 * found["error"]).all()
    low, high = np.percentile(found["ratio"], [5, 95])
    error = found["error"].mean()
    # Of blocks without any systematic difference the same share lies within 1.645 errors; the
    # percentile of 30 or so blocks is itself uncertain by about a third of one.
    assert low > 0.98 - 2 * error
    assert high < 1.02 + 2 * error


@pytest.mark.parametrize("dose", [0.25, 0.1])
def test_twins_of_a_chest_gain_the_bias_of_native_scans_and_no_other(dose):
    found = comparison(dose)
    difference = found["twin_bias"] - found["counted_bias"]
    sampling = found["mean_variance"].mean()
    excess = (difference**2).mean() - sampling
    independent = len(difference) / 4  # the noise of neighbours is correlated
    assert excess < 0.2**2 + 4 * sampling * np.sqrt(2 / independent)
    assert abs(difference.mean()) < 0.1 + 4 * np.sqrt(sampling / independent)
