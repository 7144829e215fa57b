"""Images of discs through a known transfer function: exact, and without aliasing.

The Fourier transform of a disc of radius R is R J1(2 pi R f) / f; times a transfer function that
ends below the Nyquist frequency it is that of an image whose samples are known exactly.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import special

TransferFunction = Callable[[np.ndarray], np.ndarray]


def gaussian(frequency: np.ndarray, sd_mm: float = 0.7) -> np.ndarray:
    """The transfer function of a Gaussian blur."""
    return np.exp(-2 * (np.pi * sd_mm * frequency) ** 2)


def soft(frequency: np.ndarray, end_per_mm: float = 0.65) -> np.ndarray:
    """One like that of a soft reconstruction kernel: a squared cosine."""
    return np.where(frequency < end_per_mm, np.cos(np.pi * frequency / 2 / end_per_mm) ** 2, 0.0)


def sharp(frequency: np.ndarray, end_per_mm: float = 0.7) -> np.ndarray:
    """One like that of a sharp reconstruction kernel, which rises above one first."""
    return (1 + 4 * frequency**2) * soft(frequency, end_per_mm)


CURVES = {"gaussian": gaussian, "soft": soft, "sharp": sharp}


def true_frequency(curve: TransferFunction, level: float) -> float:
    """Where a transfer function falls below a level, 1/mm."""
    frequency = np.linspace(0, 1, 200_001)
    return float(frequency[np.argmax(curve(frequency) < level)])


def disc_image(
    curve: TransferFunction,
    *,
    radius_mm: float,
    contrast_hu: float = 100.0,
    offset_mm: tuple[float, float] = (0.0, 0.0),
    shape: tuple[int, int] = (128, 128),
    pixel_spacing_mm: tuple[float, float] = (0.7, 0.7),
) -> np.ndarray:
    """A disc in the middle of an image, moved by an offset (y, x)."""
    fy, fx = (np.fft.fftfreq(n, d) for n, d in zip(shape, pixel_spacing_mm, strict=True))
    frequency = np.hypot(fy[:, None], fx)
    argument = 2 * np.pi * radius_mm * frequency
    safe = np.where(argument > 0, argument, 1.0)
    disc = np.pi * radius_mm**2 * np.where(argument > 0, 2 * special.j1(safe) / safe, 1.0)
    middle = [
        offset + n // 2 * d for offset, n, d in zip(offset_mm, shape, pixel_spacing_mm, strict=True)
    ]
    phase = np.exp(-2j * np.pi * (fy[:, None] * middle[0] + fx * middle[1]))
    area = pixel_spacing_mm[0] * pixel_spacing_mm[1]
    return contrast_hu * np.fft.ifft2(disc * curve(frequency) * phase).real / area


def centre_of(
    offset_mm: tuple[float, float],
    shape: tuple[int, int] = (128, 128),
    pixel_spacing_mm: tuple[float, float] = (0.7, 0.7),
) -> tuple[float, float]:
    """Row and column of the centre of `disc_image`."""
    row, column = (
        n // 2 + offset / d for offset, n, d in zip(offset_mm, shape, pixel_spacing_mm, strict=True)
    )
    return row, column
