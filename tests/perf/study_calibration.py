"""Blind calibration: noise of a secret strength and texture against the noise predicted for it.

Run it as ``python tests/perf/study_calibration.py [folder of real CT]``. Phantoms without noise,
and real series, get the noise of a scan whose kernel, photons, bowtie and slice overlap the
calibration is not told. A twin at a quarter of the dose is made of each; the noise that it adds is
compared with that which the secret adds: the standard deviation in blocks of the body, and the
radial noise power spectrum. Nothing is asserted.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ctdenoise.config.dose import SimulateSettings
from ctdenoise.config.kernels import (
    GaussianKernelSettings,
    HannKernelSettings,
    KernelSettings,
    TableKernelSettings,
)
from ctdenoise.config.phantom import GridSettings, PhantomSettings, TorsoSettings, WaterSettings
from ctdenoise.config.scanner import ScannerSettings
from ctdenoise.core.arrays import BoolArray, DoubleArray, HuArray
from ctdenoise.core.body import body_mask
from ctdenoise.core.volume import CTVolume
from ctdenoise.io.read import read_volume
from ctdenoise.phantoms.build import build_phantom
from ctdenoise.simulation.calibration import sample_indices
from ctdenoise.simulation.low_dose import Plan, Simulator, plan_simulation, simulate_low_dose

DOSE = 0.25
BLOCK = 24
PATCH = 48

SMOOTH = GaussianKernelSettings(f50_per_mm=0.335)
SHARP = TableKernelSettings(
    frequency_per_mm=(0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1),
    value=(1.0, 1.02, 1.08, 1.15, 1.18, 1.1, 0.92, 0.68, 0.42, 0.2, 0.06, 0.0),
)
BROAD = HannKernelSettings(width=1.2)


@dataclass(frozen=True)
class Result:
    """How the predicted noise compares with the true one.

    Args:
        level: Ratio of the standard deviations in the body.
        median: Median over blocks of the local ratio.
        low: Their 5th percentile.
        high: Their 95th percentile.
        nps_log_l1: Mean of the absolute logarithm of the ratio of the spectra.
        bias_hu: Mean of the added noise.
    """

    level: float
    median: float
    low: float
    high: float
    nps_log_l1: float
    bias_hu: float


def local_sd(noise: HuArray, body: BoolArray) -> DoubleArray:
    """Standard deviation in blocks inside the body, over all slices, [block]."""
    rows, columns = (n // BLOCK for n in noise.shape[1:])
    area = np.s_[:, : rows * BLOCK, : columns * BLOCK]
    shape = (len(noise), rows, BLOCK, columns, BLOCK)
    inside = body[area].reshape(shape).all(axis=(2, 4))
    square = (noise[area].astype(np.float64) ** 2).reshape(shape).mean(axis=(2, 4))
    count = inside.sum(axis=0)
    mean = np.where(inside, square, 0).sum(axis=0) / np.maximum(count, 1)
    enough = count >= max(2, len(noise) // 2)
    return np.sqrt(mean[enough])


def radial_nps(noise: HuArray, body: BoolArray, spacing_mm: float) -> DoubleArray:
    """Radial spectrum of patches inside the body up to the Nyquist frequency of the pixels."""
    total, count = np.zeros((PATCH, PATCH)), 0
    for image, inside in zip(noise, body, strict=True):
        for row in range(0, image.shape[0] - PATCH, PATCH // 2):
            for column in range(0, image.shape[1] - PATCH, PATCH // 2):
                part = np.s_[row : row + PATCH, column : column + PATCH]
                if inside[part].all():
                    patch = image[part] - image[part].mean()
                    total += np.abs(np.fft.fft2(patch)) ** 2
                    count += 1
    frequency = np.fft.fftfreq(PATCH)
    radius = np.hypot(frequency[:, None], frequency)
    ring = np.rint(radius * PATCH).astype(int)
    rings = range(1, PATCH // 2 + 1)
    return (
        np.array([total[ring == index].mean() for index in rings]) / max(count, 1) * spacing_mm**2
    )


def compared(true: HuArray, predicted: HuArray, body: BoolArray, spacing_mm: float) -> Result:
    """The true noise of a scan and the predicted noise of the same strength."""
    ratio = local_sd(predicted, body) / local_sd(true, body)
    spectra = [radial_nps(noise, body, spacing_mm) for noise in (predicted, true)]
    low, high = np.percentile(ratio, [5, 95])
    return Result(
        float(predicted[body].std() / true[body].std()),
        float(np.median(ratio)),
        float(low),
        float(high),
        float(np.abs(np.log(spectra[0] / spectra[1])).mean()),
        float(predicted[body].mean()),
    )


def prediction(scan: CTVolume, settings: SimulateSettings) -> tuple[Plan, HuArray]:
    """The plan that is made blind, and the noise that it adds."""
    plan = plan_simulation(
        scan.select(sample_indices(scan.geometry)),
        settings.replaced(dose=DOSE),
        7,
        geometry=scan.geometry,
        acquisition=scan.acquisition,
    )
    simulator = Simulator(plan)
    parts = []
    for first in range(0, scan.shape[0], 16):
        block = scan.select(slice(first, first + 16))
        parts.append(simulator.twins(block, first=first)[0] - block.hu)
    return plan, np.concatenate(parts)


def with_secret_noise(base: CTVolume, secret: SimulateSettings) -> CTVolume:
    """A scan of something without noise."""
    native = secret.replaced(source_noise="none", dose=1.0)
    pair = simulate_low_dose(base, native, np.random.default_rng(11))
    return replace(base, hu=np.rint(pair.low.hu).astype(np.float32))


def secret_addition(base: CTVolume, secret: SimulateSettings) -> HuArray:
    """The noise that the scan lacks, drawn with the secret."""
    pair = simulate_low_dose(base, secret.replaced(dose=DOSE), np.random.default_rng(12))
    return np.asarray(pair.low.hu - base.hu)


def secret_settings(
    kernel: KernelSettings, photons: float, *, bowtie: str, samples: int, geometry: str = "fan"
) -> SimulateSettings:
    scanner = ScannerSettings.model_validate(
        {"bowtie": bowtie, "samples_per_channel": samples, "angular_modulation": 0.0}
    )
    return SimulateSettings.model_validate(
        {"photons": photons, "geometry": geometry, "kernel": kernel, "scanner": scanner}
    )


def phantoms() -> Iterator[tuple[str, CTVolume]]:
    """An oval of water, a torso, and a torso of thick slices that overlap."""
    grid = GridSettings(field_of_view_mm=384.0, slices=16, slice_spacing_mm=3.0)
    oval = WaterSettings(diameter_mm=320.0, depth_mm=220.0)
    yield "oval", build_phantom(PhantomSettings(phantom=oval, grid=grid)).volume
    yield (
        "torso",
        build_phantom(
            PhantomSettings(phantom=TorsoSettings(level_mm=-40, texture=0.3), grid=grid)
        ).volume,
    )
    overlapping = grid.replaced(slice_spacing_mm=2.0, slice_thickness_mm=3.0)
    settings = PhantomSettings(
        phantom=TorsoSettings(level_mm=-60, texture=0.3), grid=overlapping, seed=3
    )
    yield "torso, overlap", build_phantom(settings).volume


SECRETS = {
    "smooth": secret_settings(SMOOTH, 2.5e5, bowtie="body", samples=1),
    "sharp": secret_settings(SHARP, 4e5, bowtie="body", samples=2),
    "broad, no bowtie": secret_settings(BROAD, 4e5, bowtie="none", samples=2),
    "smooth, rebinned": secret_settings(
        SMOOTH, 2.5e5, bowtie="body", samples=1, geometry="rebinned"
    ),
}


def show(name: str, plan: Plan, result: Result) -> None:
    """One line of the table."""
    calibration = plan.calibration
    evidence = calibration.evidence
    trend = calibration.model.radial_trend
    print(
        f"{name:44s} level {result.level:.3f}  blocks {result.median:.3f} "
        f"({result.low:.2f}-{result.high:.2f})  NPS log-L1 {result.nps_log_l1:.3f}  "
        f"bias {result.bias_hu:+.2f}  N0 {calibration.photons:.3g} by {calibration.calibrated_by}, "
        f"f50 {calibration.kernel_f50_per_mm:.3f} by {calibration.kernel_by}, "
        f"+-{0 if evidence is None else 100 * evidence.uncertainty:.1f} %, "
        f"trend {0 if trend is None else trend.slope:.3f}, exposure by {calibration.exposure_by}",
        flush=True,
    )


def main() -> None:
    """Print the table."""
    blind = SimulateSettings()
    chosen = os.environ.get("STUDY", "")
    for what, base in phantoms():
        for kind, secret in SECRETS.items():
            name = f"{what}: {kind}"
            if chosen not in name:
                continue
            scan = with_secret_noise(base, secret)
            plan, predicted = prediction(scan, blind)
            body = body_mask(base.hu)
            result = compared(
                secret_addition(base, secret), predicted, body, base.geometry.pixel_spacing_mm[0]
            )
            show(name, plan, result)
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path("../shared/ctdata")
    for series in ("ge_abdomen", "siemens_chest", "philips_chest"):
        path = folder / "series" / series
        if not path.is_dir():
            continue
        volume = read_volume(path)
        base = volume.select(slice(0, min(volume.shape[0], 40)))
        for kind in ("smooth", "sharp"):
            name = f"{series} + {kind}"
            if chosen not in name:
                continue
            photons = 1.2e5 if kind == "smooth" else 1.5e5
            secret = SECRETS[kind].replaced(photons=photons, geometry="rebinned")
            scan = with_secret_noise(base, secret)
            plan, predicted = prediction(scan, blind)
            body = body_mask(base.hu, base.padding)
            # The noise of the series itself is there as well, and predicted too.
            _, native = prediction(base, blind)
            result = compared(
                secret_addition(base, secret) + native,
                predicted,
                body,
                base.geometry.pixel_spacing_mm[0],
            )
            show(name, plan, result)


if __name__ == "__main__":
    main()
