"""The same seed gives the same voxels, however the work is spread."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ctdenoise.core.provenance import digest
from ctdenoise.simulation.low_dose import simulate_low_dose
from tests.builders import water_disc
from tests.physics.fan_scan import settings

GEOMETRIES = ("fan", "parallel", "rebinned")
BATCHES = (5, 32)
THREADS = (1, 2, 8)


def voxels(geometry: str, batch: int) -> list[float]:
    """Some pixels of every slice of a twin, in starved and in other slices."""
    disc = water_disc(slices=18, size=48, pixel_spacing_mm=4.0, radius_mm=80)
    chosen = settings(
        geometry=geometry, slices_per_batch=batch, photons=2e3, electronic_noise_quanta=5.5
    )
    twin = simulate_low_dose(disc, chosen, np.random.default_rng(7)).low
    return [float(value) for value in twin.hu.ravel()]


def main() -> None:
    """Print a digest of the twin for each geometry, number of threads and batch size."""
    import numba

    found = {}
    for threads in THREADS:
        numba.set_num_threads(threads)
        for geometry in GEOMETRIES:
            for batch in BATCHES:
                found[f"{geometry} {threads} {batch}"] = digest(voxels(geometry, batch))
    print(json.dumps(found))


@pytest.fixture(scope="module")
def digests() -> dict[str, str]:
    """From a process that may use eight threads."""
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", f"from {__name__} import main; main()"],
        check=True,
        cwd=root,
        env={**os.environ, "NUMBA_NUM_THREADS": "8", "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
    )
    return dict(json.loads(done.stdout))


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_voxels_depend_on_neither_threads_nor_batches_nor_process(digests, geometry):
    here = digest(voxels(geometry, 32))
    others = {key: value for key, value in digests.items() if key.startswith(geometry)}
    assert len(others) == len(THREADS) * len(BATCHES)
    assert set(others.values()) == {here}
