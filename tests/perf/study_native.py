"""Twins of full-dose images against native quarter-dose scans of another scanner.

Run it as ``python -m tests.perf.study_native [folder of real CT] [words of the cases wanted]``.
The scanner here shares next to nothing with the simulator: full-resolution line integrals with a
flying focal spot, counted photons, a quarter dose that keeps every photon with a chance of one
quarter (so that its difference to the full dose is exactly the noise to be added), rebinning to
parallel rays by linear interpolation, kernels and a bowtie of its own, tube current that follows
the angle and the table, slices as means over thin layers, whole HU that end at -1024. Objects are
torso phantoms and real series without most of their noise. The simulator sees the full-dose image
and what a header would say, or not even that. Nothing is asserted.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from ctdenoise.config.dose import SimulateSettings
from ctdenoise.config.scanner import ScannerSettings
from ctdenoise.core.acquisition import Acquisition
from ctdenoise.core.arrays import BoolArray, DoubleArray, HuArray
from ctdenoise.core.body import body_mask
from ctdenoise.core.geometry import Geometry
from ctdenoise.core.volume import CTVolume
from ctdenoise.simulation.calibration import sample_indices
from ctdenoise.simulation.low_dose import Plan, Simulator, plan_simulation
from tests.perf.native_scanner import (
    LOWEST_HU,
    MEDIUM,
    SHARP,
    SMOOTH,
    STANDARD,
    Case,
    NativeScanner,
    patient,
    scanned,
    torso,
)

OF_ROWS = SimulateSettings(scanner=ScannerSettings(rows_per_slice="auto"))
"""This scanner reads each detector row; the default of the simulator is one reading a slice."""


def siemens(kernel: str, thickness_mm: float) -> Acquisition:
    """What a Siemens scanner would say of itself."""
    return Acquisition(
        manufacturer="SIEMENS",
        manufacturer_model_name="SOMATOM Definition AS+",
        kvp=120.0,
        slice_thickness_mm=thickness_mm,
        convolution_kernel=kernel,
        distance_source_to_patient_mm=595.0,
        distance_source_to_detector_mm=1085.6,
        reconstruction_centre_offset_mm=(0.0, 0.0),
        body_part_examined="CHEST",
        exposure_modulation_type="XYZ_EC",
    )


def ge(kernel: str, thickness_mm: float) -> Acquisition:
    """What a GE scanner would say of itself."""
    return Acquisition(
        manufacturer="GE MEDICAL SYSTEMS",
        kvp=120.0,
        slice_thickness_mm=thickness_mm,
        convolution_kernel=kernel,
        distance_source_to_patient_mm=541.0,
        distance_source_to_detector_mm=949.0,
        reconstruction_centre_offset_mm=(0.0, 0.0),
        filter_type="BODY FILTER",
    )


GE_SCANNER = NativeScanner(
    distance_mm=541.0,
    channel_mm=0.58,
    channels=888,
    views=992,
    has_flying_spot=False,
    electronic_quanta=6.0,
    bowtie_mm=130.0,
    power=0.0,
)


def cases(data: Path) -> Iterator[Case]:
    """The scans of the table."""
    chest = torso(0.0, 170.0, 380.0)
    belly = torso(-110.0, 200.0, 460.0)
    shoulders = torso(130.0, 190.0, 500.0)
    small = torso(-60.0, 140.0, 320.0)
    abdomen = patient(data / "series/ge_abdomen", 12, 7.5)
    thorax = patient(data / "series/siemens_chest", 25, 14.0)
    lungs = patient(data / "series/philips_chest", 20, 20.0)
    b30, b30_thin = siemens("B30f", 3.0), siemens("B30f", 1.2)
    d45, d45_thin = siemens("B50f", 3.0), siemens("B50f", 1.2)
    yield Case("torso chest, smooth 3/2", chest, SMOOTH, 1.5e5, 3.0, 2.0, b30)
    yield Case("torso chest, sharp 1.2/0.6", chest, SHARP, 2e5, 1.2, 0.6, d45_thin)
    yield Case("torso belly, smooth 3/2", belly, SMOOTH, 1.5e5, 3.0, 2.0, b30)
    yield Case("torso small, medium 3/3", small, MEDIUM, 1.2e5, 3.0, 3.0, siemens("B40f", 3.0))
    yield Case("torso shoulders, medium 3/2", shoulders, MEDIUM, 2.5e5, 3.0, 2.0, b30)
    yield Case("abdomen, smooth 3/2", abdomen, SMOOTH, 1.5e5, 3.0, 2.0, b30)
    yield Case("abdomen, smooth 1.2/0.6", abdomen, SMOOTH, 1.5e5, 1.2, 0.6, b30_thin)
    yield Case("abdomen, sharp 3/2", abdomen, SHARP, 2e5, 3.0, 2.0, d45)
    yield Case("abdomen, GE standard 5/5", abdomen, STANDARD, 1.5e5, 5.0, 5.0, ge("STANDARD", 5.0),
               scanner=GE_SCANNER)  # fmt: skip
    yield Case("thorax, smooth 3/2", thorax, SMOOTH, 1.5e5, 3.0, 2.0, b30)
    yield Case("thorax, sharp 1.2/0.6", thorax, SHARP, 2e5, 1.2, 0.6, d45_thin)
    yield Case("lungs, medium 3/3", lungs, MEDIUM, 1.2e5, 3.0, 3.0, siemens("B40f", 3.0))
    yield Case("abdomen, smooth 3/2, no header", abdomen, SMOOTH, 1.5e5, 3.0, 2.0, b30, False)
    yield Case("thorax, sharp 1.2/0.6, no header", thorax, SHARP, 2e5, 1.2, 0.6, d45_thin, False)


def places(hu: HuArray, spacing_mm: float) -> dict[str, BoolArray]:
    """Where noise is compared, [y, x] each: what holds for most slices."""
    body = body_mask(hu).mean(axis=0) > 0.99
    smooth = ndimage.gaussian_filter(hu.mean(axis=0), 2)
    depth = ndimage.distance_transform_edt(body) * spacing_mm
    row, column = (axis.mean() for axis in np.nonzero(body))
    y, x = np.ogrid[: hu.shape[1], : hu.shape[2]]
    radius = np.hypot(y - row, x - column) * spacing_mm
    isocentre = np.hypot(y - hu.shape[1] / 2, x - hu.shape[2] / 2) * spacing_mm
    lung = smooth < -600
    return {
        "centre": body & ~lung & (radius < 60),
        "rim": body & ~lung & (depth < 45) & (depth > 2),
        "sides": body & ~lung & (np.abs(x - column) * spacing_mm > 110),
        "lung": body & lung & (depth > 10),
        "air": ~ndimage.binary_dilation(body_mask(hu).any(axis=0), iterations=8)
        & (isocentre < 0.48 * spacing_mm * hu.shape[1]),
        "body": body,
    }


def block_sd(noise: HuArray, inside: BoolArray, spacing_mm: float) -> DoubleArray:
    """Standard deviation in blocks of 20 mm that lie inside, all slices, [block]."""
    side = max(4, round(20 / spacing_mm))
    rows, columns = (n // side for n in inside.shape)
    area = np.s_[: rows * side, : columns * side]
    share = inside[area].reshape(rows, side, columns, side).mean(axis=(1, 3))
    cut = noise[:, : rows * side, : columns * side]
    blocks = cut.reshape(len(noise), rows, side, columns, side)
    return np.asarray(blocks.std(axis=(2, 4), dtype=np.float64).mean(axis=0)[share > 0.95])


def radial_nps(noise: HuArray, inside: BoolArray, spacing_mm: float) -> tuple[Any, Any]:
    """Radial spectrum of patches of 36 mm inside, by frequency; None where there are none."""
    side = max(16, round(36 / spacing_mm))
    window = np.hanning(side + 2)[1:-1]
    window = window[:, None] * window
    total, count = np.zeros((side, side)), 0
    for row in range(0, inside.shape[0] - side, side // 3):
        for column in range(0, inside.shape[1] - side, side // 3):
            part = np.s_[row : row + side, column : column + side]
            if inside[part].mean() > 0.9:
                patches = noise[:, row : row + side, column : column + side]
                patches = patches - patches.mean(axis=(1, 2), keepdims=True)
                total += (np.abs(np.fft.fft2(patches * window)) ** 2).sum(axis=0)
                count += 1
    frequency = np.fft.fftfreq(side, spacing_mm)
    ring = np.rint(np.hypot(frequency[:, None], frequency) * side * spacing_mm).astype(int)
    rings = np.arange(1, side // 2 + 1)
    if not count:
        return rings, None
    return rings / side / spacing_mm, np.array([total[ring == index].mean() for index in rings])


def nps_distance(twin: HuArray, native: HuArray, inside: BoolArray, spacing_mm: float) -> float:
    """Mean |ln ratio| of the spectra where the native one holds 1 % of its peak at least, and of
    shapes of one area."""
    _, own = radial_nps(twin, inside, spacing_mm)
    _, true = radial_nps(native, inside, spacing_mm)
    if own is None or true is None:
        return float("nan")
    shown = true > 0.01 * true.max()
    return float(np.abs(np.log(own[shown] / true[shown])).mean())


def neighbour_correlation(noise: HuArray, inside: BoolArray) -> float:
    """Correlation of the noise of neighbouring slices."""
    cut = noise[:, inside] - noise[:, inside].mean(axis=1, keepdims=True)
    return float((cut[1:] * cut[:-1]).mean() / (cut**2).mean())


def blind(case: Case, full: HuArray, spacing_mm: float, settings: SimulateSettings) -> Any:
    """The plan made from the full-dose image, and the twin as it would be written."""
    geometry = Geometry.axial(
        full.shape, pixel_spacing_mm=spacing_mm, slice_spacing_mm=case.spacing_mm
    )
    volume = CTVolume(full, geometry, case.header if case.has_header else Acquisition())
    plan = plan_simulation(
        volume.select(sample_indices(geometry)),
        settings,
        7,
        geometry=geometry,
        acquisition=volume.acquisition,
    )
    (twin,) = Simulator(plan).twins(volume, first=0)
    twin = np.rint(twin)
    return plan, np.maximum(twin, LOWEST_HU) if case.has_header else twin


def show(case: Case, plan: Plan, full: HuArray, low: HuArray, twin: HuArray, mm: float) -> None:
    """The lines of a case."""
    native, added = low - full, twin - full
    where = places(full, mm)
    parts = []
    for name, inside in where.items():
        true = block_sd(native, inside, mm)
        if not len(true):
            continue
        ratio = block_sd(added, inside, mm) / true
        bias = (added - native)[:, inside].mean()
        part5, part95 = np.percentile(ratio, [5, 95])
        text = f"{name} {np.median(ratio):.3f} ({part5:.2f}-{part95:.2f}) {bias:+.1f}"
        if name in {"centre", "rim", "lung", "body"}:
            text += f" nps {nps_distance(added, native, inside, mm):.3f}"
        parts.append(text)
    body = where["body"]
    bias = ndimage.uniform_filter((added - native).mean(axis=0), round(20 / mm))[body]
    calibration = plan.calibration
    trend = calibration.model.radial_trend
    level = np.sqrt((added[:, body] ** 2).mean() / (native[:, body] ** 2).mean())
    print(
        f"{case.name}\n  level {level:.3f}, native {native[:, body].std():.1f} HU, "
        f"correlation {neighbour_correlation(added, body):.2f} of "
        f"{neighbour_correlation(native, body):.2f}, bias map rms {bias.std():.2f}; "
        f"N0 {calibration.photons:.3g} by {calibration.calibrated_by}, f50 "
        f"{calibration.kernel_f50_per_mm:.3f} by {calibration.kernel_by}, "
        f"{calibration.model.geometry}, x{calibration.model.samples_per_channel}, bowtie "
        f"{calibration.model.bowtie}, modulation {calibration.model.modulation}, trend "
        f"{0 if trend is None else trend.slope:.3f}, z by {calibration.exposure_by}, shared "
        f"{getattr(calibration.evidence, 'slice_correlation', None)}\n  " + "; ".join(parts),
        flush=True,
    )


def main() -> None:
    """Print the table."""
    data = Path(sys.argv[1]) if len(sys.argv) > 1 else Path("../shared/ctdata")
    words = sys.argv[2:]
    for case in cases(data):
        if words and not any(word in case.name for word in words):
            continue
        start = time.perf_counter()
        full, low, spacing_mm = scanned(case)
        made = time.perf_counter()
        plan, twin = blind(case, full, spacing_mm, OF_ROWS)
        show(case, plan, full, low, twin, spacing_mm)
        print(f"  {made - start:.0f} + {time.perf_counter() - made:.0f} s", flush=True)


if __name__ == "__main__":
    main()
