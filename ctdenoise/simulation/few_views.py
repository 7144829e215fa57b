"""A slice seen from a number of directions only: projected along parallel rays and put back.

The operator H of `projection`: line integrals of the slice over half a turn, then filtered
back-projection with the plain ramp (Kak and Slaney, Principles of Computerized Tomographic Imaging,
SIAM 2001, chapter 3). It is linear. With few directions it makes the streaks of a sparse scan; it
knows nothing of a scanner.
"""

from __future__ import annotations

import numpy as np
from scipy import fft, ndimage

from ctdenoise.core.arrays import DoubleArray


def seen_from(image: DoubleArray, views: int, *, spacing_mm: tuple[float, float]) -> DoubleArray:
    """What filtered back-projection makes of the parallel projections of a slice.

    Args:
        image: Attenuation, [y, x]; zero beyond its edges.
        views: Directions, evenly over half a turn, the first along the columns.
        spacing_mm: Distance of neighbouring rows and of neighbouring columns.

    Returns:
        The same quantity, [y, x].
    """
    step = min(spacing_mm)
    half = np.hypot(*(n * spacing for n, spacing in zip(image.shape, spacing_mm, strict=True))) / 2
    reach = int(np.ceil(half / step)) + 1
    along = np.arange(-reach, reach + 1) * step
    middle = [(n - 1) / 2 for n in image.shape]
    y, x = (
        (np.arange(n) - centre) * spacing
        for n, centre, spacing in zip(image.shape, middle, spacing_mm, strict=True)
    )
    response = _ramp(len(along), step)
    total = np.zeros(image.shape)
    for angle in np.arange(views) * np.pi / views:
        cosine, sine = np.cos(angle), np.sin(angle)
        rays = [
            (along[:, None] * sine + along * cosine) / spacing_mm[0] + middle[0],
            (along[:, None] * cosine - along * sine) / spacing_mm[1] + middle[1],
        ]
        integrals = ndimage.map_coordinates(image, rays, order=1).sum(axis=1) * step
        spectrum = fft.rfft(integrals, n=2 * (len(response) - 1)) * response
        filtered = fft.irfft(spectrum)[: len(along)]
        total += np.interp(x[None, :] * cosine + y[:, None] * sine, along, filtered)
    return np.asarray(total * (np.pi / views))


def _ramp(channels: int, step_mm: float) -> DoubleArray:
    """Transfer function of the ramp, 1/mm, [frequency], from its values in space.

    Those keep the mean, which a ramp drawn in frequency loses (Kak and Slaney, equation 61 of
    chapter 3): 1 / (4 d^2) in the middle, -1 / (pi n d)^2 at odd n, zero at even ones.
    """
    length = fft.next_fast_len(2 * channels, real=True)
    length += length % 2
    place = np.minimum(np.arange(length), length - np.arange(length))
    values = np.zeros(length)
    values[0] = 1 / (4 * step_mm**2)
    odd = place % 2 == 1
    values[odd] = -1 / (np.pi * place[odd] * step_mm) ** 2
    return np.asarray(fft.rfft(values).real * step_mm)
