"""A small fan-beam scanner, exact line integrals and the noise that theory expects of it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import fft

from ctdenoise.config.dose import SimulateSettings
from ctdenoise.config.kernels import (
    FixedKernelSettings,
    GaussianKernelSettings,
    HannKernelSettings,
    RampKernelSettings,
)
from ctdenoise.config.scanner import ScannerSettings
from ctdenoise.core.geometry import Geometry
from ctdenoise.core.volume import CTVolume
from ctdenoise.simulation.low_dose import simulate_low_dose
from ctdenoise.simulation.scanner import Fan, fan_of

Array = npt.NDArray[np.float64]

MU_WATER = 0.02
SMALL_SCANNER = ScannerSettings(
    distances="setting",
    channels=192,
    channel_pitch_mm=2.4,
    views_per_turn=160,
    samples_per_channel=1,
    bowtie="none",
    angular_modulation=0.0,
)


def small_fan() -> Fan:
    """The scanner's fan: it sees 125 mm around the isocentre."""
    from ctdenoise.core.acquisition import Acquisition

    return fan_of(SMALL_SCANNER, Acquisition())


def settings(**changes: object) -> SimulateSettings:
    """Settings of the small scanner, every physical choice made."""
    values: dict[str, object] = {
        "scanner": SMALL_SCANNER,
        "geometry": "fan",
        "mu_water_per_mm": MU_WATER,
        "photons": 1e5,
        "electronic_noise_quanta": 0.0,
        "kernel": GaussianKernelSettings(f50_per_mm=0.2),
    }
    return SimulateSettings.model_validate({**values, **changes})


def ellipse(
    half_axes_mm: tuple[float, float],
    *,
    slices: int = 16,
    size: int = 96,
    spacing_mm: float = 2.0,
    hu: float = 0.0,
) -> CTVolume:
    """Water (or whatever) in air, edges drawn with 4 x 4 samples for each pixel."""
    fine = (np.arange(4 * size) - (4 * size - 1) / 2) * spacing_mm / 4
    a, b = half_axes_mm
    inside = (fine[None, :] / a) ** 2 + (fine[:, None] / b) ** 2 <= 1
    share = inside.reshape(size, 4, size, 4).mean(axis=(1, 3))
    image = (-1000 + (hu + 1000) * share).astype(np.float32)
    geometry = Geometry.axial(
        (slices, size, size), pixel_spacing_mm=spacing_mm, slice_spacing_mm=2.0
    )
    return CTVolume(np.repeat(image[None], slices, axis=0), geometry)


def ellipse_integrals(
    fan: Fan,
    half_axes_mm: tuple[float, float],
    *,
    centre_mm: tuple[float, float] = (0.0, 0.0),
) -> Array:
    """Exact chord lengths, mm, [view, channel], of an ellipse along the axes.

    The ray x cos(t) + y sin(t) = s meets it along 2 a b sqrt(r^2 - s^2) / r^2 with
    r^2 = (a cos t)^2 + (b sin t)^2.
    """
    angle = fan.view_angles[:, None] + fan.fan_angles[None, :]
    distance = fan.distance_mm * np.sin(fan.fan_angles)[None, :]
    distance = distance - centre_mm[0] * np.cos(angle) - centre_mm[1] * np.sin(angle)
    a, b = half_axes_mm
    r2 = (a * np.cos(angle)) ** 2 + (b * np.sin(angle)) ** 2
    return 2 * a * b * np.sqrt(np.maximum(r2 - distance**2, 0)) / r2


def noise_of(volume: CTVolume, seed: int = 0, **changes: object) -> Array:
    """What the simulator adds, HU, [slice, y, x]."""
    pair = simulate_low_dose(volume, settings(**changes), np.random.default_rng(seed))
    return pair.low.hu.astype(np.float64) - volume.hu


def centre(noise: Array, size: int = 8) -> Array:
    """The central pixels of each slice."""
    middle = noise.shape[1] // 2
    part = slice(middle - size // 2, middle + size // 2)
    return noise[:, part, part]


def variance_and_error(noise: Array) -> tuple[float, float]:
    """Variance about zero mean of independent slices, and its standard error."""
    each = (noise**2).mean(axis=(1, 2))
    return float(each.mean()), float(each.std(ddof=1) / np.sqrt(len(each)))


def kernel_shape(kernel: FixedKernelSettings, k: Array, nyquist_per_mm: float) -> Array:
    """A(k) of a kernel as its settings describe it; written apart from the package on purpose."""
    match kernel:
        case RampKernelSettings():
            return np.ones_like(k)
        case HannKernelSettings(width=width):
            inside = k < width * nyquist_per_mm
            return np.where(inside, np.cos(np.pi * k / (2 * width * nyquist_per_mm)) ** 2, 0.0)
        case GaussianKernelSettings(f50_per_mm=f50):
            return np.asarray(0.5 ** ((k / f50) ** 2))
        case _:
            points = zip(kernel.frequency_per_mm, kernel.value, strict=True)
            x, y = (np.array(axis) for axis in zip(*points, strict=True))
            return np.where(k > x[-1], 0.0, np.interp(k, x, y))


def centre_variance(kernel: FixedKernelSettings, log_variance: float) -> float:
    """Variance at the isocentre of a reconstruction, HU^2.

    sigma^2 = (pi^2 / V) sigma_p^2 dt 2 int_0^(1/2dt) k^2 A^2 (2 + cos 2 pi k dt) / 3 dk for V fan
    views in a turn; the last factor is linear interpolation between channels.
    """
    fan = small_fan()
    dt = fan.channel_width_mm
    k = np.linspace(0, 0.5 / dt, 4001)
    shape = kernel_shape(kernel, k, 0.5 / dt)
    integral = np.trapezoid((k * shape) ** 2 * (2 + np.cos(2 * np.pi * k * dt)) / 3, k)
    return float(np.pi**2 / fan.views * log_variance * dt * 2 * integral * (1000 / MU_WATER) ** 2)


def spectrum(noise: Array) -> Array:
    """Mean power spectrum of slices under a Hann window, [fy, fx], unnormalised."""
    size = noise.shape[1]
    window = np.hanning(size + 2)[1:-1]
    transform = fft.fft2(noise * window[:, None] * window[None, :], axes=(1, 2))
    return np.asarray((np.abs(transform) ** 2).mean(axis=0))
