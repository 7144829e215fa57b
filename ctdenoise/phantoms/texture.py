"""Random texture with a power-law spectrum, as tissue has it."""

from __future__ import annotations

import numpy as np
from scipy import fft

from ctdenoise.core.arrays import FloatArray

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
    deep = max(slices, int(np.ceil(_LEAST_DEPTH_MM / spacing_mm[0])))
    whole = tuple(fft.next_fast_len(size, real=True) for size in (deep, rows, columns))
    white = rng.standard_normal(whole, dtype=np.float32)
    spectrum = fft.rfftn(white, overwrite_x=True)
    fz, fy, fx = (
        fft.fftfreq(whole[0], spacing_mm[0]),
        fft.fftfreq(whole[1], spacing_mm[1]),
        fft.rfftfreq(whole[2], spacing_mm[2]),
    )
    square = (fz[:, None, None] ** 2 + fy[:, None] ** 2 + fx**2).astype(np.float32)
    sigma_mm = _SHORTEST_MM / np.sqrt(8 * np.log(2))
    gain = (square + np.float32(1 / _LONGEST_MM**2)) ** np.float32(-exponent / 4)
    gain *= np.exp(-2 * (np.pi * sigma_mm) ** 2 * square)
    spectrum *= gain
    spectrum[0, 0, 0] = 0.0
    field = fft.irfftn(spectrum, s=whole, overwrite_x=True).astype(np.float32, copy=False)
    field /= field.std()
    return np.ascontiguousarray(field[:slices, :rows, :columns])
