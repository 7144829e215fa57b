"""Reconstruction filters: the ramp of a fan beam, and the kernels that shape it."""

from __future__ import annotations

import re
from typing import assert_never

import numpy as np

from ctdenoise.config.kernels import (
    AutoKernelSettings,
    FixedKernelSettings,
    GaussianKernelSettings,
    HannKernelSettings,
    HeaderKernelSettings,
    KernelSettings,
    MeasuredKernelSettings,
    RampKernelSettings,
    TableKernelSettings,
)
from ctdenoise.core.acquisition import Acquisition
from ctdenoise.core.arrays import DoubleArray
from ctdenoise.simulation.scanner import Fan

SOFT_F50_PER_MM = 0.335
"""Half height of a smooth body kernel (Siemens B30f and its like), 1/mm."""

# Typical half heights of the makers' kernels, 1/mm, rounded from published resolution
# measurements. They set the texture of the noise; its magnitude is calibrated on the image.
_SIEMENS_SHARPNESS = (10, 20, 30, 40, 50, 60, 70, 80, 90)
_SIEMENS_F50_PER_MM = (0.25, 0.30, SOFT_F50_PER_MM, 0.39, 0.52, 0.65, 0.80, 0.95, 1.1)
_GE_F50_PER_MM = {
    "SOFT": 0.32,
    "STANDARD": 0.38,
    "STND": 0.38,
    "CHST": 0.42,
    "DETAIL": 0.48,
    "LUNG": 0.65,
    "BONE": 0.75,
    "BONEPLUS": 0.90,
    "EDGE": 1.0,
    "ULTRA": 0.90,
}
_PHILIPS_F50_PER_MM = {
    "A": 0.31,
    "B": 0.36,
    "C": 0.44,
    "D": 0.58,
    "E": 0.70,
    "F": 0.75,
    "L": 0.62,
    "UA": 0.31,
    "UB": 0.34,
    "UC": 0.40,
    "YA": 0.70,
    "YB": 0.60,
    "YC": 0.55,
}
_CANON_F50_PER_MM = ((30, 0.36), (50, 0.75), (60, 0.60), (70, 0.36), (100, 0.85))
"""Half height of FC kernels numbered below the first figure."""


def resolve_kernel(settings: KernelSettings, acquisition: Acquisition) -> FixedKernelSettings:
    """The kernel to simulate with.

    Args:
        settings: The choice; `auto` looks at the header.
        acquisition: Header facts of the series.
    """
    if not isinstance(settings, AutoKernelSettings | HeaderKernelSettings | MeasuredKernelSettings):
        return settings
    f50 = header_f50_per_mm(acquisition)
    return GaussianKernelSettings(f50_per_mm=SOFT_F50_PER_MM if f50 is None else f50)


def header_f50_per_mm(acquisition: Acquisition) -> float | None:
    """Typical half height, 1/mm, of the kernel that a header names; None where not known.

    Args:
        acquisition: Header facts: `convolution_kernel`, and `manufacturer` where names clash.
    """
    name = (acquisition.convolution_kernel or "").split("/")[0].split("\\")[0].strip().upper()
    maker = (acquisition.manufacturer or "").upper()
    canon = re.fullmatch(r"FC(\d\d)\w*", name)
    if canon:
        return next(f50 for limit, f50 in _CANON_F50_PER_MM if int(canon[1]) < limit)
    siemens = re.fullmatch(r"[A-Z]{1,2}(\d\d)[A-Z0-9]{0,2}", name)
    if siemens and ("SIEMENS" in maker or not maker):
        return float(np.interp(int(siemens[1]), _SIEMENS_SHARPNESS, _SIEMENS_F50_PER_MM))
    if "PHILIPS" in maker:
        return _PHILIPS_F50_PER_MM.get(name)
    return _GE_F50_PER_MM.get(name.replace(" ", ""))


def apodisation(
    kernel: FixedKernelSettings, frequency_per_mm: DoubleArray, *, nyquist_per_mm: float
) -> DoubleArray:
    """What a kernel makes of the ramp: A(k), 1 at zero frequency.

    ramp: 1. hann: (1 + cos(pi k / (width k_N))) / 2 up to its zero. gaussian: 2^-(k / f50)^2.
    table: linear between its points, zero beyond the last.

    Args:
        kernel: The kernel.
        frequency_per_mm: Frequencies k at the isocentre, 1/mm, from 0 to Nyquist.
        nyquist_per_mm: Nyquist frequency k_N of the channels at the isocentre, 1/mm.
    """
    match kernel:
        case RampKernelSettings():
            return np.ones_like(frequency_per_mm)
        case HannKernelSettings():
            phase = np.clip(frequency_per_mm / (kernel.width * nyquist_per_mm), 0, 1)
            return np.asarray(0.5 * (1 + np.cos(np.pi * phase)))
        case GaussianKernelSettings():
            return np.exp2(-((frequency_per_mm / kernel.f50_per_mm) ** 2))
        case TableKernelSettings():
            return np.interp(frequency_per_mm, kernel.frequency_per_mm, kernel.value, right=0.0)
        case _:
            assert_never(kernel)


def kernel_f50_per_mm(kernel: FixedKernelSettings, *, nyquist_per_mm: float) -> float:
    """The highest frequency at which a kernel passes one half, 1/mm; at most Nyquist.

    Args:
        kernel: The kernel.
        nyquist_per_mm: Nyquist frequency of the channels at the isocentre, 1/mm.
    """
    frequency = np.linspace(0, nyquist_per_mm, 1024)
    passed = apodisation(kernel, frequency, nyquist_per_mm=nyquist_per_mm) >= 0.5
    return float(frequency[np.flatnonzero(passed)[-1]])


def fan_filter(fan: Fan, kernel: FixedKernelSettings, *, length: int) -> DoubleArray:
    """Transfer function of the equiangular fan-beam filter, real, [length // 2 + 1].

    The kernel is g(gamma) = 1/2 (gamma / sin gamma)^2 h(gamma) with the band-limited ramp h
    (Kak and Slaney, Principles of Computerized Tomographic Imaging, 3.4.1), times the angle
    between channels and the angle between views, times the apodisation.

    Args:
        fan: The fan beam.
        kernel: The reconstruction kernel.
        length: Channels after zero padding.
    """
    angle = fan.channel_angle
    count = np.rint(np.fft.fftfreq(length) * length)
    ramp = np.zeros(length)
    odd = np.abs(count) % 2 == 1
    ramp[0] = 1 / (4 * angle**2)
    gamma = count[odd] * angle
    # Beyond the widest fan angle no pair of channels exists, and the sine runs towards its zero.
    stretched = np.where(np.abs(gamma) < 1.3, gamma / np.sin(gamma), 1.0)
    ramp[odd] = -((stretched / (np.pi * gamma)) ** 2)
    response = np.real(np.fft.rfft(0.5 * ramp)) * angle * (2 * np.pi / fan.views)
    width = fan.channel_width_mm
    frequency = np.asarray(np.fft.rfftfreq(length, width), dtype=np.float64)
    shape = apodisation(kernel, frequency, nyquist_per_mm=0.5 / width)
    return np.asarray(response * shape)


def parallel_filter(
    kernel: FixedKernelSettings, *, spacing_mm: float, views: int, length: int
) -> DoubleArray:
    """Transfer function of the filter of parallel rays, real, [length // 2 + 1].

    The band-limited ramp (Kak and Slaney, 3.3.3) times the distance of rays and the angle between
    views, times the apodisation.

    Args:
        kernel: The reconstruction kernel.
        spacing_mm: Distance of neighbouring rays.
        views: Views of half a turn.
        length: Channels after zero padding.
    """
    count = np.rint(np.fft.fftfreq(length) * length)
    ramp = np.zeros(length)
    odd = np.abs(count) % 2 == 1
    ramp[0] = 1 / (4 * spacing_mm**2)
    ramp[odd] = -1 / (np.pi * count[odd] * spacing_mm) ** 2
    response = np.real(np.fft.rfft(ramp)) * spacing_mm * (np.pi / views)
    frequency = np.asarray(np.fft.rfftfreq(length, spacing_mm), dtype=np.float64)
    shape = apodisation(kernel, frequency, nyquist_per_mm=0.5 / spacing_mm)
    return np.asarray(response * shape)
