"""How right transfer functions and noise power spectra are, and those of others beside them.

Run it as ``python tests/perf/study_resolution.py``. Discs and noise are exact: known transfer
functions and power spectra, no scanner. actilib and pylinac are measured on the same images where
they are installed; they are no dependencies of ctdenoise. Nothing is asserted.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from ctdenoise.metrics.circular_edge import CircularEdge
from ctdenoise.metrics.nps import power_of
from ctdenoise.metrics.transfer import resampled
from ctdenoise.metrics.ttf import Ttf, ttf
from tests.coloured_noise import ct_noise, ct_spectrum
from tests.exact_discs import CURVES, centre_of, disc_image, gaussian, true_frequency

SPACING = (0.7, 0.7)
SHAPE = (192, 192)
OFFSETS = ((0.0, 0.0), (-0.11, 0.23), (0.34, -0.29))
Frequencies = tuple[float | None, float | None]


def main() -> None:
    """Print all tables."""
    _edges_without_noise()
    _edges_with_noise()
    _spectra()
    _pixel_sizes()


def _peer(name: str) -> ModuleType | None:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def _edges_without_noise() -> None:
    print("\nTTF without noise: largest error of f50 / f10 over three places of the centre, %")
    peers: dict[str, Callable[[np.ndarray, float, CircularEdge], Frequencies]] = {"ctdenoise": _own}
    if _peer("actilib.analysis.ttf"):
        peers["actilib"] = _actilib
    print("curve     R mm " + "".join(f"{name:>18s}" for name in peers))
    for curve_name, curve in CURVES.items():
        truth = [true_frequency(curve, level) for level in (0.5, 0.1)]
        for radius in (3.0, 5.0, 7.5, 12.5):
            line = ""
            for measure in peers.values():
                errors = []
                for offset in OFFSETS:
                    image = disc_image(curve, radius_mm=radius, offset_mm=offset, shape=SHAPE)
                    edge = CircularEdge(centre_of(offset, SHAPE), radius)
                    found = measure(image, radius, edge)
                    errors.append(
                        [
                            np.nan if one is None else 100 * (one / true - 1)
                            for one, true in zip(found, truth, strict=True)
                        ]
                    )
                worst = np.array(errors)[np.abs(errors).argmax(axis=0), [0, 1]]
                line += f"{worst[0]:+10.2f} {worst[1]:+7.2f}"
            print(f"{curve_name:9s} {radius:4.1f} {line}")


def _own(image: np.ndarray, radius: float, edge: CircularEdge) -> Frequencies:
    del radius
    near = (round(edge.centre[0]), round(edge.centre[1]))
    found = ttf(image[None], CircularEdge(near, edge.radius_mm), pixel_spacing_mm=SPACING)
    return found.f50_per_mm, found.f10_per_mm


def _actilib(image: np.ndarray, radius: float, edge: CircularEdge) -> Frequencies:
    rois = importlib.import_module("actilib.analysis.rois")
    actilib = importlib.import_module("actilib.analysis.ttf")
    roi = rois.CircleROI(radius / SPACING[0], edge.centre[1], edge.centre[0])
    _, _, found = actilib.calculate_roi_ttf(image, roi, SPACING)
    return found["f50"], found["f10"]


def _edges_with_noise() -> None:
    print("\nTTF with noise: 200 trials of 12 slices each, Gaussian blur of 0.7 mm, CT-like noise")
    print("R mm  CNR_tot  mean f50 error %   SD(f50) * CNR_tot %   intervals that hold f50 %")
    truth = true_frequency(gaussian, 0.5)
    slices, trials = 12, 200
    for radius in (6.0, 10.0):
        shape = (96, 96)
        image = disc_image(gaussian, radius_mm=radius, offset_mm=OFFSETS[1], shape=shape)
        edge = CircularEdge(centre_of(OFFSETS[1], shape), radius)
        for cnr in (8, 15, 35):
            found = [
                _noisy(image, edge, sd_hu=100 / cnr * np.sqrt(slices), slices=slices, seed=seed)
                for seed in range(trials)
            ]
            known = [one for one in found if one.f50_per_mm is not None]
            f50 = np.array([one.f50_per_mm for one in known]) / truth
            ends = [one.transfer.f50_interval_per_mm for one in known]
            held = np.mean([e is not None and e[0] <= truth <= e[1] for e in ends])
            print(
                f"{radius:4.0f} {cnr:8d} {100 * (f50.mean() - 1):12.2f} "
                f"{100 * f50.std() * cnr:20.0f} {100 * held:20.1f}   ({len(known)} of {trials})"
            )


def _noisy(image: np.ndarray, edge: CircularEdge, *, sd_hu: float, slices: int, seed: int) -> Ttf:
    noise = ct_noise((slices, *image.shape), seed=seed, sd_hu=sd_hu)
    return ttf(
        image + noise,
        edge,
        pixel_spacing_mm=SPACING,
        resamplings=resampled(slices, 200, np.random.default_rng(seed)),
    )


def _cut(images: np.ndarray, side: int) -> np.ndarray:
    rows, columns = (n // side for n in images.shape[1:])
    cut = images[:, : rows * side, : columns * side]
    cut = cut.reshape(len(images), rows, side, columns, side).swapaxes(2, 3)
    return cut.reshape(-1, side, side)


def _spectra() -> None:
    print("\nNPS of CT-like noise of 20 HU, f exp(-(f / 0.35)^2), 360 patches less a plane")
    cutoff = 0.35
    f = np.linspace(0, 1 / 1.4, 4001)
    fav = (f * ct_spectrum(f, cutoff)).sum() / ct_spectrum(f, cutoff).sum()
    fy = np.fft.fftfreq(400, 0.7)
    total = ct_spectrum(np.hypot(fy[:, None], fy), cutoff).sum() / (400 * 0.7) ** 2
    for side in (32, 64, 128):
        images = ct_noise((40, 3 * side + 16, 3 * side + 16), seed=7, sd_hu=20.0, cutoff=cutoff)
        sums = power_of(_cut(images, side), pixel_spacing_mm=SPACING, order=1)
        radial = sums.radial()
        middle = (radial.frequency_per_mm > 0.05) & (radial.frequency_per_mm < 0.5)
        true = 400 * ct_spectrum(radial.frequency_per_mm, cutoff) / total
        off = 100 * (radial.power / true - 1)[middle]
        print(
            f"side {side:3d}: SD {np.sqrt(sums.variance_hu2):.3f} HU, fav "
            f"{radial.mean_frequency_per_mm:.4f} (true {fav:.4f}), fpeak "
            f"{radial.peak_frequency_per_mm:.3f} (true {cutoff / np.sqrt(2):.3f}, ring "
            f"{1 / (side * 0.7):.3f}), curve bias {off.mean():+.2f} %, rms "
            f"{np.sqrt(np.square(off).mean()):.2f} %"
        )
    white = np.random.default_rng(0).normal(0, 20, (200, 64, 64))
    level = power_of(white, pixel_spacing_mm=SPACING, order=1).radial().power.mean() / (400 * 0.49)
    print(f"white noise, 200 patches of 64: level {100 * (level - 1):+.2f} %")


def _pixel_sizes() -> None:
    print("\nThe same noise (f exp(-(f / 0.25)^2), peak 0.177 per mm) in pixels of other sizes")
    pylinac = _peer("pylinac.core.nps")
    for spacing in (0.35, 0.5, 0.7, 1.0):
        side = round(44.8 / spacing)
        images = ct_noise(
            (20, 4 * side, 4 * side), seed=3, spacing_mm=(spacing, spacing), cutoff=0.25
        )
        patches = _cut(images, side)
        radial = power_of(patches, pixel_spacing_mm=(spacing, spacing), order=1).radial()
        line = (
            f"pixel {spacing:.2f} mm: ctdenoise fpeak {radial.peak_frequency_per_mm:.3f}, fav "
            f"{radial.mean_frequency_per_mm:.3f} per mm"
        )
        if pylinac is not None:
            curve = pylinac.noise_power_spectrum_1d(
                pylinac.noise_power_spectrum_2d(spacing, list(patches))
            )
            line += (
                f"; pylinac max_frequency {pylinac.max_frequency(curve):.3f}, average_power "
                f"{pylinac.average_power(curve):.3f} (its axis has no unit)"
            )
        print(line)


if __name__ == "__main__":
    main()
