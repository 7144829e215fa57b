"""Random texture with a power-law spectrum, as tissue has it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import fft

from ctdenoise.core.arrays import FloatArray
from ctdenoise.core.randomness import stream

TEXTURE_EXPONENT = 3.0
"""Exponent b of the power spectrum 1 / f^b; about 3 in breast, liver and lung (Burgess 1999)."""

_LONGEST_MM = 25.0
"""Structures longer than this are anatomy, not texture: the spectrum is flat below 1 / this."""

_SHORTEST_MM = 1.2
"""Full width at half maximum of the Gaussian that ends the spectrum, as a scanner would."""

_LEAST_DEPTH_MM = 50.0
"""Fields are made at least this deep, so that a few slices have the texture of many."""


def power_law_field(
    shape: tuple[int, int, int],
    spacing_mm: tuple[float, float, float],
    rng: np.random.Generator,
    *,
    exponent: float = TEXTURE_EXPONENT,
) -> FloatArray:
    """A random field whose power spectrum falls as 1 / f^exponent.

    Args:
        shape: Size along [z, y, x].
        spacing_mm: Voxel spacing along [z, y, x]; the spectrum is isotropic in mm.
        rng: Source of randomness.
        exponent: Of the power spectrum in three dimensions.

    Returns:
        float32 [z, y, x], mean 0 and standard deviation 1 over the field that was made (which is
        deeper than `shape` for thin stacks).
    """
    slices, rows, columns = shape
    field = periodic_field(
        whole_field_shape(shape, spacing_mm[0]), spacing_mm, rng, exponent=exponent
    )
    return np.ascontiguousarray(field[:slices, :rows, :columns])


def whole_field_shape(shape: tuple[int, int, int], slice_spacing_mm: float) -> tuple[int, int, int]:
    """Voxels along [z, y, x] of the periodic field that `power_law_field` cuts its own from.

    Args:
        shape: What is cut from it.
        slice_spacing_mm: Distance of slices.
    """
    deep = max(shape[0], int(np.ceil(_LEAST_DEPTH_MM / slice_spacing_mm)))
    low, middle, high = (fft.next_fast_len(size, real=True) for size in (deep, *shape[1:]))
    return (low, middle, high)


def periodic_field(
    shape: tuple[int, int, int],
    spacing_mm: tuple[float, float, float],
    rng: np.random.Generator,
    *,
    exponent: float,
) -> FloatArray:
    """A random field as `power_law_field`, that goes on where it ends along every axis.

    Args:
        shape: Size along [z, y, x]; fast where it is a product of small primes.
        spacing_mm: Voxel spacing along [z, y, x]; the spectrum is isotropic in mm.
        rng: Source of randomness.
        exponent: Of the power spectrum in three dimensions.

    Returns:
        float32 [z, y, x], mean 0 and standard deviation 1.
    """
    white = rng.standard_normal(shape, dtype=np.float32)
    spectrum = fft.rfftn(white, overwrite_x=True)
    fz, fy, fx = (
        fft.fftfreq(shape[0], spacing_mm[0]),
        fft.fftfreq(shape[1], spacing_mm[1]),
        fft.rfftfreq(shape[2], spacing_mm[2]),
    )
    square = (fz[:, None, None] ** 2 + fy[:, None] ** 2 + fx**2).astype(np.float32)
    sigma_mm = _SHORTEST_MM / np.sqrt(8 * np.log(2))
    gain = (square + np.float32(1 / _LONGEST_MM**2)) ** np.float32(-exponent / 4)
    gain *= np.exp(-2 * (np.pi * sigma_mm) ** 2 * square)
    spectrum *= gain
    spectrum[0, 0, 0] = 0.0
    field = fft.irfftn(spectrum, s=shape, overwrite_x=True).astype(np.float32, copy=False)
    field /= field.std()
    return np.asarray(field)


FIELD_SHAPE = (32, 256, 256)
"""Voxels of a texture that is repeated along every axis."""


def texture_fields(
    slopes: Sequence[float],
    spacing_mm: tuple[float, float, float],
    seed: int,
) -> FloatArray:
    """Textures whose amplitude in a slice falls as 1 / f^slope, to be repeated along every axis.

    The spectrum in space falls as 1 / f^(2 slope + 1): a plane through it has 1 / f^(2 slope).

    Args:
        slopes: One for each field.
        spacing_mm: Voxel spacing along [z, y, x].
        seed: The same seed, the same textures, whatever the size of the grid.

    Returns:
        float32 [field, z, y, x], each of mean 0 and standard deviation 1.
    """
    return np.stack(
        [
            periodic_field(
                FIELD_SHAPE, spacing_mm, stream(seed, "texture field", n), exponent=2 * slope + 1
            )
            for n, slope in enumerate(slopes)
        ]
    )
