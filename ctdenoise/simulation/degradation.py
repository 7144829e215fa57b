"""The general degradation model g = H f + n, one step after the other.

For comparisons with methods that were made for natural images. It knows nothing of a scanner.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

import numpy as np
from scipy import ndimage

from ctdenoise.config.degradation import (
    BlurSettings,
    DegradationSettings,
    GaussianNoiseSettings,
    MissingSettings,
    PeriodicNoiseSettings,
    PoissonNoiseSettings,
    ProjectionSettings,
    SaltAndPepperSettings,
    StreakNoiseSettings,
)
from ctdenoise.config.dose import SimulateSettings
from ctdenoise.core.arrays import DoubleArray, HuArray
from ctdenoise.core.provenance import Step, digest
from ctdenoise.core.units import AIR_HU, HU_PER_RELATIVE_ATTENUATION
from ctdenoise.simulation.few_views import seen_from
from ctdenoise.simulation.noise import Keys

STEP = "degrade"
"""Name of the line of history."""


def degradation_step(settings: SimulateSettings, seed: int) -> Step:
    """The line of history of a degraded scan.

    Args:
        settings: What was done.
        seed: Of the randomness.
    """
    return Step(
        STEP,
        {
            "name": ", ".join(step.name for step in settings.degradations),
            "seed": seed,
            "settings": settings.deciding(),
            "settings_digest": digest(settings.deciding()),
        },
    )


def degrade(
    hu: HuArray,
    degradations: Sequence[DegradationSettings],
    *,
    spacing_mm: tuple[float, float],
    keys: Keys,
) -> HuArray:
    """Degraded slices, float32 HU [slice, y, x].

    A slice depends on its own voxels and words alone.

    Args:
        hu: Slices, [slice, y, x].
        degradations: What to do, in this order.
        spacing_mm: Distance of neighbouring rows and of neighbouring columns.
        keys: Two random words for each slice, [2, slice].
    """
    out = np.empty_like(hu)
    for target, image, words in zip(out, hu, keys.T, strict=True):
        rng = np.random.default_rng(words.tolist())
        degraded = image.astype(np.float32)
        for step in degradations:
            degraded = _degraded(degraded, step, spacing_mm, rng)
        target[...] = degraded
    return out


def _degraded(
    image: HuArray,
    step: DegradationSettings,
    spacing_mm: tuple[float, float],
    rng: np.random.Generator,
) -> HuArray:
    match step:
        case BlurSettings():
            sigma = [step.sigma_mm / spacing for spacing in spacing_mm]
            degraded = ndimage.gaussian_filter(image, sigma, mode="nearest")
        case MissingSettings():
            lost = rng.random(image.shape, np.float32) < step.share
            degraded = np.where(lost, np.float32(AIR_HU), image)
        case ProjectionSettings():
            degraded = _projected(image, step.views, spacing_mm)
        case GaussianNoiseSettings():
            degraded = image + step.sigma_hu * rng.standard_normal(image.shape, np.float32)
        case PoissonNoiseSettings():
            degraded = _counted(image, step.peak, rng)
        case SaltAndPepperSettings():
            chance = rng.random(image.shape, np.float32)
            salted = np.where(chance < step.share, step.high_hu, image)
            degraded = np.where(chance < step.share / 2, step.low_hu, salted)
        case PeriodicNoiseSettings():
            phase = 2 * np.pi * _along(image, step.angle_degrees, spacing_mm) / step.period_mm
            degraded = image + step.amplitude_hu * np.cos(phase)
        case StreakNoiseSettings():
            degraded = image + _streaks(image, step, spacing_mm, rng)
        case _:
            assert_never(step)
    return np.asarray(degraded, dtype=np.float32)


def _projected(image: HuArray, views: int, spacing_mm: tuple[float, float]) -> HuArray:
    """A slice seen from some directions; beyond its edges there is air."""
    attenuation = 1 + image.astype(np.float64) / HU_PER_RELATIVE_ATTENUATION
    seen = seen_from(attenuation, views, spacing_mm=spacing_mm)
    return np.asarray(HU_PER_RELATIVE_ATTENUATION * (seen - 1), dtype=np.float32)


def _counted(image: HuArray, peak: float, rng: np.random.Generator) -> HuArray:
    """Pixels as counts of mean peak * (1 + HU / 1000); less than air counts nothing."""
    intensity = np.maximum(1 + image.astype(np.float64) / HU_PER_RELATIVE_ATTENUATION, 0)
    counts = rng.poisson(peak * intensity)
    return np.asarray(HU_PER_RELATIVE_ATTENUATION * (counts / peak - 1), dtype=np.float32)


def _along(image: HuArray, angle_degrees: float, spacing_mm: tuple[float, float]) -> DoubleArray:
    """Distance of each pixel from the first one along a direction, mm, [y, x]."""
    angle = np.radians(angle_degrees)
    y, x = (np.arange(n) * spacing for n, spacing in zip(image.shape, spacing_mm, strict=True))
    return np.asarray(x[None, :] * np.cos(angle) + y[:, None] * np.sin(angle))


def _streaks(
    image: HuArray,
    step: StreakNoiseSettings,
    spacing_mm: tuple[float, float],
    rng: np.random.Generator,
) -> HuArray:
    """Straight lines across the slice, each of a Gaussian profile, place and direction at random.

    The lines are those of a parallel scan: normal angles over half a turn, distances from the
    centre over the half diagonal.
    """
    rows, columns = image.shape
    half = np.hypot(rows * spacing_mm[0], columns * spacing_mm[1]) / 2
    angles = rng.uniform(0, np.pi, step.count)
    distances = rng.uniform(-half, half, step.count)
    signs = rng.choice((-1.0, 1.0), step.count)
    y = (np.arange(rows) - (rows - 1) / 2) * spacing_mm[0]
    x = (np.arange(columns) - (columns - 1) / 2) * spacing_mm[1]
    total = np.zeros(image.shape, np.float32)
    for angle, distance, sign in zip(angles, distances, signs, strict=True):
        offset = x[None, :] * np.cos(angle) + y[:, None] * np.sin(angle) - distance
        total += (sign * np.exp(-((offset / step.width_mm) ** 2) / 2)).astype(np.float32)
    return np.float32(step.amplitude_hu) * total
