"""BM3D by its authors' package, an optional extra: its licence allows non-commercial use only.

Dabov, Foi, Katkovnik and Egiazarian, IEEE Trans. Image Process. 16(8), 2007; for correlated noise,
Makinen, Azzari and Foi, 29, 2020. The package takes the power spectrum of the noise, |FFT|^2 on the
grid of the image, but the same noise for every pixel.
"""

from __future__ import annotations

from importlib.metadata import version
from importlib.util import find_spec

import numpy as np

from ctdenoise.core.arrays import HuArray
from ctdenoise.errors import MissingExtraError
from ctdenoise.metrics.noise_correlation import NoiseCorrelation

_THRESHOLD = 3.0
_WIENER = 0.9
"""What the package chooses for the spectrum of a medium kernel, from a table. For each spectrum it
would look there itself, but bm4d 4.2.5, the newest, does that by `numpy.trapz`, which NumPy 2.4
has no more."""


def require_bm3d() -> None:
    """Refuse, before anything is read, a filter whose package is missing.

    Raises:
        MissingExtraError: If the package bm3d is not installed.
    """
    if find_spec("bm3d") is None:
        raise MissingExtraError(
            "the filter bm3d needs the package bm3d, which is not installed. Its licence allows "
            "non-commercial use only.",
            fix="Install it with: pip install 'ctdenoise[bm3d]', or use --model nlm.",
        )


def bm3d_version() -> str:
    """Version of the package; it decides the pixels."""
    return version("bm3d")


def filtered(image: HuArray, correlation: NoiseCorrelation, sd: float) -> HuArray:
    """An image without its noise, which is the same everywhere.

    Args:
        image: [y, x].
        correlation: Of the noise.
        sd: Standard deviation of the noise, in the unit of the image.
    """
    import bm3d

    profile = bm3d.BM3DProfile()
    profile.lambda_thr3d, profile.mu2 = _THRESHOLD, _WIENER
    profile.lambda_thr3d_re, profile.mu2_re = _THRESHOLD, _WIENER  # of a step that is not taken
    shape = (image.shape[0], image.shape[1])
    spectrum = sd**2 * image.size * correlation.power(shape)
    return np.asarray(bm3d.bm3d(image.astype(np.float64), spectrum, profile), dtype=np.float32)
