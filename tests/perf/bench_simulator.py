"""Speed of the simulator against a projection and reconstruction by scikit-image, in one run.

Run it as ``python tests/perf/bench_simulator.py``. It prints processor time for one slice of 512 x
512 pixels, which other work on the machine disturbs less than the clock on the wall, and ratios,
which it disturbs least. Nothing is asserted.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from skimage.transform import iradon, radon

from ctdenoise.config.dose import SimulateSettings
from ctdenoise.core.geometry import Geometry
from ctdenoise.core.volume import CTVolume
from ctdenoise.simulation.insertion import NoiseInsertion
from ctdenoise.simulation.kernels import add_to_slices
from ctdenoise.simulation.model import ScanModel
from ctdenoise.simulation.noise import added_noise, slice_keys

SLICES = 32
SIZE = 512
VIEWS = 576
"""Parallel views over half a turn: what 1,152 fan views of a turn amount to."""


def torso() -> CTVolume:
    """An ellipse of water with two lungs, the same in every slice."""
    axis = (np.arange(SIZE) - (SIZE - 1) / 2) * 0.78
    x, y = axis[None], axis[:, None]
    image = np.where((x / 170) ** 2 + (y / 115) ** 2 <= 1, 0.0, -1000.0)
    image[((np.abs(x) - 80) / 55) ** 2 + (y / 80) ** 2 <= 1] = -800
    geometry = Geometry.axial((SLICES, SIZE, SIZE), pixel_spacing_mm=0.78, slice_spacing_mm=1.0)
    return CTVolume(np.repeat(image[None].astype(np.float32), SLICES, axis=0), geometry)


def cpu_seconds(work: Callable[[], object], *, repeats: int = 3) -> float:
    """Least processor time of a few runs, after one that compiles and fills caches."""
    work()
    times = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


def main() -> None:
    """Measure and print."""
    volume = torso()
    model = ScanModel.of(volume.geometry, volume.acquisition, SimulateSettings())
    insertion = NoiseInsertion(model)
    rule = added_noise(0.25, electronic_noise=5.5, floor=1.0, dual_below=100.0)
    keys = slice_keys([bytes([index]) for index in range(SLICES)])
    photons = np.full(SLICES, 4e5, np.float32)
    out = np.empty_like(volume.hu)

    def simulate() -> None:
        image = insertion.draw(insertion.project(volume.hu), rule, photons=photons, keys=keys)
        add_to_slices(image, volume.hu, out)

    ours = cpu_seconds(simulate) / SLICES
    image = (1 + volume.hu[0] / 1000).astype(np.float64)
    angles = np.linspace(0, 180, VIEWS, endpoint=False)
    sinogram = radon(image, angles, circle=False)
    forward = cpu_seconds(lambda: radon(image, angles, circle=False), repeats=1)
    backward = cpu_seconds(lambda: iradon(sinogram, angles, circle=False), repeats=1)
    print(f"low-dose noise, whole:      {1e3 * ours:9.1f} core-ms a slice")
    print(f"scikit-image radon, iradon: {1e3 * forward:9.1f} + {1e3 * backward:.1f}")
    print(f"ratio:                      {(forward + backward) / ours:9.1f} times faster")


if __name__ == "__main__":
    main()
