"""Cost of noise drawn in the image, for patches and for slices, beside noise that is projected.

Run it as ``python tests/perf/bench_fresh_noise.py``. It prints processor time, in one thread for
patches. Nothing is asserted.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ctdenoise.config.dose import SimulateSettings
from ctdenoise.simulation.dose_noise import noise_statistics
from ctdenoise.simulation.fresh_noise import FreshNoise
from ctdenoise.simulation.image_domain import ImageDomainNoise
from ctdenoise.simulation.insertion import NoiseInsertion
from ctdenoise.simulation.model import ScanModel
from ctdenoise.simulation.noise import slice_keys
from ctdenoise.simulation.patch_noise import Places
from ctdenoise.simulation.recorded import RecordedScan
from tests.perf.bench_simulator import SLICES, cpu_seconds, torso

PATCHES, BATCH = 208, 16


def main() -> None:
    """Measure and print."""
    volume, settings = torso(SLICES), SimulateSettings()
    model = ScanModel.of(volume.geometry, volume.acquisition, settings)
    photons = np.full(SLICES, 4e5, np.float32)
    stored = volume.hu.astype(np.int16)
    scan = RecordedScan(settings, model, photons)

    def prepare() -> FreshNoise:
        return FreshNoise(scan, stored, padding=-2048, first=0, doses=(0.1, 0.5))

    fresh = prepare()

    def patches(size: int) -> Callable[[], None]:
        def draw() -> None:
            for first in range(0, PATCHES, BATCH):
                n = np.arange(first, first + BATCH)
                places = Places(n % SLICES, 100 + n % 200, 60 + n, size)
                fresh.draw_all(places, (0.1 + 0.3 * n / PATCHES).tolist(), n.tolist())

        return draw

    insertion = NoiseInsertion(model)
    drawing = ImageDomainNoise(model, insertion)
    statistics = noise_statistics(0.25, settings, rows=1)
    keys = slice_keys([bytes([index]) for index in range(SLICES)])

    def projected() -> None:
        lines = insertion.project(volume.hu)
        insertion.draw(lines, statistics, photons=photons, keys=keys)

    def drawn() -> None:
        lines = insertion.project(volume.hu)
        drawing.draw(lines, statistics, photons=photons, keys=keys)

    ms = 1e3 / SLICES
    print(f"maps of the noise, two doses:  {ms * cpu_seconds(prepare):8.2f} core-ms a slice")
    for size in (32, 64, 128):
        each = 1e3 * cpu_seconds(patches(size)) / PATCHES
        print(f"fresh noise, {size:3d} x {size:3d} pixels: {each:8.2f} core-ms a patch")
    print(f"noise of a slice, in the image:{ms * cpu_seconds(drawn):8.2f} core-ms")
    print(f"noise of a slice, projected:   {ms * cpu_seconds(projected):8.2f} core-ms")


if __name__ == "__main__":
    main()
