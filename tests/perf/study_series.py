"""Noise of real series and of their twins: by place and by spatial frequency.

Run it as ``python -m tests.perf.study_series ../shared/ctdata``. In the same flat patches of soft
tissue, in differences of neighbouring slices, it prints the noise of twins over what the law of
photons foretells, scan / sqrt(dose), by distance from the isocentre; and how far the spectrum of a
twin lies from that of its scan.
"""

from __future__ import annotations

import sys
from itertools import pairwise
from pathlib import Path

import numpy as np

from ctdenoise.config.dose import SimulateSettings
from ctdenoise.io.read import open_series
from ctdenoise.simulation.calibration import sample_indices
from ctdenoise.simulation.low_dose import Simulator, plan_simulation
from ctdenoise.simulation.noise_comparison import MeasuredNoise, measure

DOSES = (0.5, 0.25, 0.1)
RINGS_MM = (0, 60, 120, 240)
FLAT_FRACTION = 0.3
ANATOMY_BELOW_PER_MM = 0.15
NOISE_ABOVE_PER_MM = 0.28
"""Anatomy shows below."""


def flat_patches(scan: MeasuredNoise) -> np.ndarray:
    """The patches in which the sum of neighbours holds least below the frequencies of noise."""
    anatomy = scan.total[:, scan.frequency_per_mm < ANATOMY_BELOW_PER_MM].mean(axis=1)
    return anatomy <= np.quantile(anatomy, FLAT_FRACTION)


def noise_in(scan: MeasuredNoise, inside: np.ndarray) -> float:
    """Root of the power above the frequencies of anatomy, from the median over patches."""
    rings = scan.frequency_per_mm > NOISE_ABOVE_PER_MM
    power = scan.difference[inside][:, rings] @ scan.modes[rings]
    return float(np.sqrt(np.median(power)))


def distance(scan: MeasuredNoise, twin: MeasuredNoise, flat: np.ndarray) -> float:
    """Mean absolute logarithm of the ratio of two spectra of equal sum."""
    first, second = (np.median(noise.difference[flat], axis=0) for noise in (scan, twin))
    seen = (second > 0.02 * second.max()) & (scan.frequency_per_mm > ANATOMY_BELOW_PER_MM)
    ratio = np.log((second / second[seen].sum()) / (first / first[seen].sum()))[seen]
    return float(np.abs(ratio).mean())


def study(folder: Path) -> None:
    """Print the rows of a series."""
    settings = SimulateSettings(dose=DOSES)
    with open_series(folder) as reader:
        indices = sample_indices(reader.geometry)
        sample = reader.read(indices)
        plan = plan_simulation(
            sample, settings, 0, geometry=reader.geometry, acquisition=reader.acquisition
        )
    model = plan.calibration.model
    scan = measure(sample.hu, sample, model)
    level = plan.calibration.full_noise_hu
    print(f"{folder.name}: noise {level} HU, kernel f50 {plan.calibration.kernel_f50_per_mm:.2f}")
    if scan is None:
        print("    too little soft tissue for a comparison")
        return
    simulator, flat = Simulator(plan), flat_patches(scan)
    parts = [simulator.twins(sample.select([j]), first=i) for j, i in enumerate(indices)]
    for number, dose in enumerate(DOSES):
        low = np.rint(np.concatenate([part[number] for part in parts]))
        twin = measure(low, sample, model)
        assert twin is not None
        radius = scan.patches.radius_mm
        ratios = []
        for near, far in pairwise(RINGS_MM):
            inside = flat & (radius >= near) & (radius < far)
            if np.count_nonzero(inside) < 20:
                ratios.append("   -  ")
                continue
            foretold = noise_in(scan, inside) / np.sqrt(dose)
            ratios.append(f"{noise_in(twin, inside) / foretold:6.3f}")
        text = " ".join(ratios)
        print(f"    dose {dose:4.2f}: {text}   spectrum {distance(scan, twin, flat):.3f}")


def main() -> None:
    """Every series of the test data."""
    print("ratio to scan / sqrt(dose) at", " ".join(f"{a}-{b}" for a, b in _rings()), "mm")
    for folder in sorted((Path(sys.argv[1]) / "series").iterdir()):
        study(folder)


def _rings() -> list[tuple[int, int]]:
    return list(pairwise(RINGS_MM))


if __name__ == "__main__":
    main()
