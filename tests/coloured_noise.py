"""Noise of a known power spectrum, like that of CT."""

from __future__ import annotations

import numpy as np


def ct_spectrum(frequency: np.ndarray, cutoff: float = 0.35) -> np.ndarray:
    """f exp(-(f / f0)^2): the ramp of a reconstruction filter under a soft kernel."""
    return frequency * np.exp(-((frequency / cutoff) ** 2))


def ct_noise(
    shape: tuple[int, int, int],
    *,
    seed: int,
    sd_hu: float = 20.0,
    spacing_mm: tuple[float, float] = (0.7, 0.7),
    cutoff: float = 0.35,
) -> np.ndarray:
    """Images of periodic noise, [image, y, x]; cut patches out of them that do not wrap."""
    fy, fx = (np.fft.fftfreq(n, d) for n, d in zip(shape[1:], spacing_mm, strict=True))
    root = np.sqrt(ct_spectrum(np.hypot(fy[:, None], fx), cutoff))
    root *= sd_hu / np.sqrt(np.square(root).mean())
    white = np.random.default_rng(seed).normal(size=shape)
    return np.fft.ifft2(np.fft.fft2(white) * root).real
