"""Detectability by observers that do not whiten the noise, from spectra and from images.

The non-prewhitening observer with an eye filter E, for a signal of the spectrum W that is seen
through the transfer function T in noise of the power spectrum NPS, all round:

    d'^2 = [2 pi int W^2 T^2 E^2 f df]^2 / {2 pi int [W^2 T^2 E^4 NPS + W^2 T^2 E^2 N_i] f df}

with the internal noise N_i in front of which the filtered signal stands, too, 0 by default: in
public code some add it bare. E = 1 is the plain non-prewhitening observer. Integrals run along the
radius, not over a grid of frequencies, whose steps would be as wide as the field of view is small
(a grid of 15 mm gives 8 % too much).

Spectra presume that the system is linear and its noise everywhere the same. A denoiser that follows
the image is neither: its figure is quasi-linear, and the channelised Hotelling observer
(`metrics.cho`) comes first.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, assert_never

import numpy as np
from scipy import integrate, special

from ctdenoise.core.arrays import DoubleArray
from ctdenoise.errors import InputError


def disc_spectrum(
    frequency_per_mm: DoubleArray, *, contrast_hu: float, radius_mm: float
) -> DoubleArray:
    """Spectrum of a disc, C pi R^2 2 J1(2 pi f R) / (2 pi f R), HU mm^2.

    Args:
        frequency_per_mm: Where it is wanted, 1/mm.
        contrast_hu: C, HU.
        radius_mm: R, mm.
    """
    argument = 2 * np.pi * frequency_per_mm * radius_mm
    safe = np.where(argument > 0, argument, 1.0)
    shape = np.where(argument > 0, 2 * special.j1(safe) / safe, 1.0)
    return np.asarray(contrast_hu * np.pi * radius_mm**2 * shape)


def gaussian_spectrum(
    frequency_per_mm: DoubleArray, *, contrast_hu: float, sigma_mm: float
) -> DoubleArray:
    """Spectrum of C exp(-r^2 / (2 s^2)), which is 2 pi s^2 C exp(-2 pi^2 s^2 f^2), HU mm^2.

    Args:
        frequency_per_mm: Where it is wanted, 1/mm.
        contrast_hu: C, HU.
        sigma_mm: s, mm.
    """
    exponent = -2 * (np.pi * sigma_mm * frequency_per_mm) ** 2
    return np.asarray(contrast_hu * 2 * np.pi * sigma_mm**2 * np.exp(exponent))


@dataclass(frozen=True, slots=True)
class Viewing:
    """How an image is looked at.

    Args:
        distance_mm: From the eye to the display.
        magnification: Millimetres on the display for one in the patient: pixels of the display for
            one of the image, times the size of the former, over the size of the latter.
    """

    distance_mm: float
    magnification: float

    def cycles_per_degree(self, frequency_per_mm: DoubleArray) -> DoubleArray:
        """Frequencies in the patient, 1/mm, as the eye sees them."""
        on_display = frequency_per_mm / self.magnification
        return np.asarray(on_display * self.distance_mm * np.pi / 180)


EyeName = Literal["eckstein", "burgess"]
"""Eye filters of cycles per degree r: r^1.5 exp(-0.98 r^0.68), highest at 3.3 (Eckstein, Bartroff,
Abbey, Whiting, Bochud, Opt. Express 11, 2003; the exponent 3.22 of other code would put the peak at
0.57), and r^1.3 exp(-0.04 r^2), highest at 4.0 (Burgess, J. Opt. Soc. Am. A 11, 1994)."""


@dataclass(frozen=True, slots=True)
class EyeFilter:
    """What an eye passes on.

    Args:
        name: Which formula.
        viewing: From where, and how large.
    """

    name: EyeName
    viewing: Viewing

    def __call__(self, frequency_per_mm: DoubleArray) -> DoubleArray:
        """The filter at frequencies in the patient, 1/mm."""
        seen = self.viewing.cycles_per_degree(frequency_per_mm)
        match self.name:
            case "eckstein":
                return np.asarray(seen**1.5 * np.exp(-0.98 * seen**0.68))
            case "burgess":
                return np.asarray(seen**1.3 * np.exp(-0.04 * seen**2))
            case _:
                assert_never(self.name)


def on_axis(
    frequency_per_mm: DoubleArray, measured_per_mm: DoubleArray, values: DoubleArray
) -> DoubleArray:
    """A measured curve, linearly interpolated; its first value holds down to zero.

    Args:
        frequency_per_mm: Where it is wanted, 1/mm.
        measured_per_mm: Where it was measured, increasing, 1/mm.
        values: What was measured.

    Raises:
        InputError: If it is wanted beyond the last place where it was measured.
    """
    if frequency_per_mm[-1] > measured_per_mm[-1] * (1 + 1e-9):
        raise InputError(
            f"A curve is known up to {measured_per_mm[-1]:.3g} per mm and wanted up to "
            f"{frequency_per_mm[-1]:.3g} per mm."
        )
    return np.asarray(np.interp(frequency_per_mm, measured_per_mm, values))


def npw_dprime(
    frequency_per_mm: DoubleArray,
    *,
    signal: DoubleArray,
    transfer: DoubleArray,
    noise_power: DoubleArray,
    eye: EyeFilter | None = None,
    internal_noise: float = 0.0,
) -> float:
    """Detectability by the non-prewhitening observer, with an eye filter or without.

    Args:
        frequency_per_mm: Evenly from 0 to where the signal or the transfer function ends, 1/mm;
            fine enough for the signal, some tens of values per 1 / its diameter.
        signal: W, HU mm^2.
        transfer: T, 1 at zero.
        noise_power: NPS, HU^2 mm^2.
        eye: E; None for 1.
        internal_noise: N_i, HU^2 mm^2 of the filtered image.

    Raises:
        InputError: If there is no noise, or the arrays differ in length.
    """
    if len({len(one) for one in (frequency_per_mm, signal, transfer, noise_power)}) != 1:
        raise InputError("Spectra of a task must have the same frequencies.")
    eyed = np.ones_like(frequency_per_mm) if eye is None else eye(frequency_per_mm)
    seen = np.square(signal * transfer * eyed)
    ring = 2 * np.pi * frequency_per_mm
    strength = float(integrate.simpson(seen * ring, x=frequency_per_mm))
    noise = seen * (np.square(eyed) * noise_power + internal_noise)
    variance = float(integrate.simpson(noise * ring, x=frequency_per_mm))
    if not variance > 0:
        raise InputError("Without noise nothing can be said of detectability.")
    return strength / math.sqrt(variance)
