"""The same seed gives the same voxels, however the work is spread."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from ctdenoise.simulation.low_dose import simulate_low_dose
from tests.builders import water_disc
from tests.physics.fan_scan import settings

VARIANTS: dict[str, dict[str, object]] = {
    "fan": {"geometry": "fan"},
    "parallel": {"geometry": "parallel"},
    "rebinned": {"geometry": "rebinned"},
    "reconstruction": {"mode": "reconstruction"},
    "image_domain": {"mode": "image_domain"},
    "sparse": {"artefacts": {"keep_every_view": 4}},
}
WAYS = ((1, 32), (2, 5), (8, 7))
"""Threads, and slices in a batch."""


def digest_of_twin(variant: str, batch: int) -> str:
    """A digest of all voxels of a twin."""
    disc = water_disc(slices=18, size=40, pixel_spacing_mm=5.0, radius_mm=80)
    chosen = settings(
        **VARIANTS[variant], slices_per_batch=batch, photons=2e3, electronic_noise_quanta=5.5
    )
    twin = simulate_low_dose(disc, chosen, np.random.default_rng(7)).low
    return hashlib.blake2b(twin.hu.tobytes()).hexdigest()


def main() -> None:
    """Print a digest of the twin for each way, number of threads and batch size."""
    import numba

    found = {}
    for threads, batch in WAYS:
        numba.set_num_threads(threads)
        for variant in VARIANTS:
            found[f"{variant} {threads}"] = digest_of_twin(variant, batch)
    print(json.dumps(found))


def test_voxels_depend_on_neither_threads_nor_batches_nor_process():
    """One test, so that the process with eight threads is started once."""
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", f"from {__name__} import main; main()"],
        check=True,
        cwd=root,
        env={**os.environ, "NUMBA_NUM_THREADS": "8", "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
    )
    here = {variant: digest_of_twin(variant, 32) for variant in VARIANTS}
    expected = {f"{name} {threads}": here[name] for name in VARIANTS for threads, _ in WAYS}
    assert json.loads(done.stdout) == expected
