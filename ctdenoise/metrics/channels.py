"""Channels through which a model observer looks at a region of an image.

A channel is a weight for every pixel; the response v of a channel u to an image g is their product
summed over the region, v = u . g. The channels here are centred on the middle of the region.

* Laguerre-Gauss: u_j(r) = sqrt(2) / a exp(-pi r^2 / a^2) L_j(2 pi r^2 / a^2), j = 0, 1, ..., with
  the Laguerre polynomials L_j; Barrett, Abbey, Gallas, Eckstein, SPIE 3340 (1998); LCD_CT
  `laguerre_gaussian_2d.m`. They are orthonormal over the plane. Round: for round signals.
* Gabor: u(x, y) = exp(-4 ln 2 r^2 / w^2) cos(2 pi f (x cos t + y sin t) + b) with the middle f of a
  pass band of the width B octave by octave, w = 4 ln 2 / (pi B); IQmodelo `make_channels.m`
  (Wunderlich, Noo, IEEE EMBC 2008), LCD_CT `gabor_cho_2d.m`.
* Difference of Gaussians: in frequency, exp(-f^2 / (2 Q^2 s_j^2)) - exp(-f^2 / (2 s_j^2)) with
  s_j = s_0 alpha^j, j = 1, 2, ...; Abbey, Barrett, J. Opt. Soc. Am. A 18 (2001); IQmodelo
  `make_channels.m`, whose closed form in space is taken. (LCD_CT's first channel is one factor
  alpha lower: s_0 alpha^(j-1).)

Gabor and DoG channels are normalised to the length 1; that changes no detectability. Frequencies
are in cycles per pixel, as in the sources. The widest channels reach beyond a small region and, cut
off there, see the mean of the image, which on the whole plane they do not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, assert_never

import numpy as np
from scipy import special

from ctdenoise.core.arrays import DoubleArray
from ctdenoise.errors import InputError, UsageError

ChannelName = Literal[
    "laguerre-gauss-5", "laguerre-gauss-10", "gabor-16", "gabor-40", "dense-dog", "sparse-dog"
]
"""Sets of channels in use: 5 or 10 Laguerre-Gauss, 4 x 4 Gabor in one phase (LCD_CT) or 4 x 5 in
two (IQmodelo), 10 dense or 3 sparse differences of Gaussians."""

WIDTH_BY_RADIUS = 4 / 3
"""Width a of Laguerre-Gauss channels over the radius of the disc that is looked for: in white noise
five channels then reach 0.98 of the detectability of the ideal observer."""


@dataclass(frozen=True, slots=True, eq=False)
class Channels:
    """A set of channels.

    Args:
        name: What they are, for people: kind, number, width.
        profiles: Weights, float64 [channel, y, x].
        mean_removed: Whether the mean of every image is taken from it before it is looked at. That
            changes the task: what a signal adds to the mean does not count.
    """

    name: str
    profiles: DoubleArray
    mean_removed: bool = False

    @property
    def count(self) -> int:
        """Number of channels."""
        return len(self.profiles)

    def responses(self, images: DoubleArray) -> DoubleArray:
        """What each channel answers to each image, float64 [image, channel].

        Args:
            images: Regions, HU, [image, y, x], of the size that the channels were made for.

        Raises:
            InputError: If the images are of another size, or hold what is not finite.
        """
        if images.ndim != 3 or images.shape[1:] != self.profiles.shape[1:]:
            raise InputError(
                f"Images of the shape {images.shape} do not fit channels of "
                f"{self.profiles.shape[1:]} pixels."
            )
        profiles = self.profiles
        if self.mean_removed:
            profiles = profiles - profiles.mean(axis=(1, 2), keepdims=True)
        flat = images.reshape(len(images), -1).astype(np.float64, copy=False)
        if not np.isfinite(flat).all():
            raise InputError("Images to be judged hold values that are not finite.")
        return np.asarray(flat @ profiles.reshape(self.count, -1).T, dtype=np.float64)


def named_channels(
    name: ChannelName, shape: tuple[int, int], *, radius_pixels: float, mean_removed: bool = False
) -> Channels:
    """A set of channels by its name.

    Args:
        name: Which.
        shape: Rows and columns of the region.
        radius_pixels: Radius of the disc that is looked for; it sets the width of Laguerre-Gauss
            channels (4/3 of it) and nothing else.
        mean_removed: Whether the mean of every image is taken from it.

    Raises:
        UsageError: If the radius is not positive.
    """
    match name:
        case "laguerre-gauss-5" | "laguerre-gauss-10":
            count = 5 if name == "laguerre-gauss-5" else 10
            width = WIDTH_BY_RADIUS * radius_pixels
            return laguerre_gauss(shape, width_pixels=width, count=count, mean_removed=mean_removed)
        case "gabor-16":
            bands = tuple((1 / 2 ** (n + 1), 1 / 2**n) for n in (6, 5, 4, 3))
            return gabor(shape, bands=bands, directions=4, phases=(0.0,), mean_removed=mean_removed)
        case "gabor-40":
            bands = tuple((1 / 2 ** (n + 1), 1 / 2**n) for n in (5, 4, 3, 2))
            phases = (0.0, np.pi / 2)
            return gabor(shape, bands=bands, directions=5, phases=phases, mean_removed=mean_removed)
        case "dense-dog":
            return differences_of_gaussians(
                shape, first=0.005, factor=1.4, ratio=1.67, count=10, mean_removed=mean_removed
            )
        case "sparse-dog":
            return differences_of_gaussians(
                shape, first=0.015, factor=2.0, ratio=2.0, count=3, mean_removed=mean_removed
            )
        case _:
            assert_never(name)


def laguerre_gauss(
    shape: tuple[int, int], *, width_pixels: float, count: int = 5, mean_removed: bool = False
) -> Channels:
    """Laguerre-Gauss channels: round, for round signals in noise without direction.

    Args:
        shape: Rows and columns of the region.
        width_pixels: The width a; 4/3 of the radius of a disc.
        count: How many; 5 serve, 10 leave nothing to be had.
        mean_removed: Whether the mean of every image is taken from it.

    Raises:
        UsageError: If the width is not positive or there is no channel.
    """
    if not width_pixels > 0 or count < 1:
        raise UsageError(
            f"{count} Laguerre-Gauss channels of the width {width_pixels} do not exist."
        )
    y, x = _grid(shape)
    argument = 2 * np.pi * (x**2 + y**2) / width_pixels**2
    envelope = np.sqrt(2) / width_pixels * np.exp(-argument / 2)
    profiles = np.stack([envelope * special.eval_laguerre(j, argument) for j in range(count)])
    return Channels(
        f"{count} Laguerre-Gauss channels, a = {width_pixels:.3g} pixels", profiles, mean_removed
    )


def gabor(
    shape: tuple[int, int],
    *,
    bands: Sequence[tuple[float, float]],
    directions: int,
    phases: Sequence[float],
    mean_removed: bool = False,
) -> Channels:
    """Gabor channels: bands of frequency in several directions.

    Args:
        shape: Rows and columns of the region.
        bands: Lower and upper end of each pass band, cycles per pixel.
        directions: How many, evenly over half a turn.
        phases: Of the wave in the middle, radians.
        mean_removed: Whether the mean of every image is taken from it.

    Raises:
        UsageError: If a band is empty or there is no direction or phase.
    """
    if directions < 1 or not phases or not bands or any(not 0 <= a < b for a, b in bands):
        raise UsageError("Gabor channels need a direction, a phase, and bands that are not empty.")
    y, x = _grid(shape)
    profiles = []
    for low, high in bands:
        width = 4 * np.log(2) / (np.pi * (high - low))
        envelope = np.exp(-4 * np.log(2) * (x**2 + y**2) / width**2)
        for angle in np.arange(directions) * np.pi / directions:
            along = np.pi * (low + high) * (x * np.cos(angle) + y * np.sin(angle))
            profiles += [envelope * np.cos(along + phase) for phase in phases]
    name = f"{len(profiles)} Gabor channels, {len(bands)} bands in {directions} directions"
    return Channels(name, _normalised(np.stack(profiles)), mean_removed)


def differences_of_gaussians(
    shape: tuple[int, int],
    *,
    first: float,
    factor: float,
    ratio: float,
    count: int,
    mean_removed: bool = False,
) -> Channels:
    """Channels that are differences of two Gaussians in frequency: round bands.

    Args:
        shape: Rows and columns of the region.
        first: s_0, cycles per pixel.
        factor: alpha, from one band to the next; above 1.
        ratio: Q, of the outer Gaussian to the inner; above 1.
        count: How many.
        mean_removed: Whether the mean of every image is taken from it.

    Raises:
        UsageError: If a parameter is out of range.
    """
    if not (first > 0 and factor > 1 and ratio > 1 and count >= 1):
        raise UsageError("Differences of Gaussians need s_0 > 0, alpha > 1, Q > 1 and a channel.")
    y, x = _grid(shape)
    square = x**2 + y**2

    def gaussian(width: float) -> DoubleArray:
        """The Gaussian exp(-f^2 / (2 width^2)) in space."""
        return np.asarray(width**2 * np.exp(-2 * np.pi**2 * width**2 * square))

    widths = first * factor ** np.arange(1, count + 1)
    profiles = np.stack([gaussian(ratio * width) - gaussian(width) for width in widths])
    name = f"{count} difference-of-Gaussians channels, alpha = {factor:g}, Q = {ratio:g}"
    return Channels(name, _normalised(profiles), mean_removed)


def _grid(shape: tuple[int, int]) -> tuple[DoubleArray, DoubleArray]:
    """Distance of every pixel from the middle along (rows, columns), pixels."""
    rows, columns = shape
    if rows < 1 or columns < 1:
        raise UsageError(f"A region of {rows} x {columns} pixels is empty.")
    y, x = (np.arange(n) - (n - 1) / 2 for n in (rows, columns))
    return np.asarray(y[:, None]), np.asarray(x[None, :])


def _normalised(profiles: DoubleArray) -> DoubleArray:
    return np.asarray(profiles / np.linalg.norm(profiles, axis=(1, 2), keepdims=True))
