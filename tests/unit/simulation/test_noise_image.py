"""The fast reconstruction of noise against the exact one."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ctdenoise.config.kernels import GaussianKernelSettings, RampKernelSettings
from ctdenoise.simulation.fbp import FilteredBackProjection
from ctdenoise.simulation.scanner import Fan, PixelGrid
from ctdenoise.simulation.vectors import LANES, aligned_zeros

FAN = Fan(595.0, 0.002, 401, 504)
GRID = PixelGrid(90, 70, 4.0, 5.0, 40.3, 37.8)


@pytest.mark.parametrize("kernel", [RampKernelSettings(), GaussianKernelSettings(f50_per_mm=0.335)])
def test_noise_is_reconstructed_to_a_thousandth_of_its_strength(kernel):
    reconstruction = FilteredBackProjection(FAN, GRID, kernel)
    noise = aligned_zeros(FAN.views, FAN.channels, LANES)
    noise[...] = np.random.default_rng(0).standard_normal(noise.shape, np.float32)
    noise *= np.geomspace(1e-3, 1e3, LANES, dtype=np.float32)  # each lane has a scale of its own
    fast = reconstruction.noise_image(noise.copy(), 2.0)
    exact = reconstruction.filter_and_back_project(noise, 2.0)
    error = (fast - exact).std(axis=(0, 1)) / exact.std(axis=(0, 1))
    assert (error < 1e-3).all()
    assert not fast[GRID.radius_mm() > FAN.field_radius_mm].any()


def test_no_noise_is_no_image():
    reconstruction = FilteredBackProjection(FAN, GRID, RampKernelSettings())
    image = reconstruction.noise_image(aligned_zeros(FAN.views, FAN.channels, LANES), 1.0)
    assert not image.any()


@pytest.mark.skipif(platform.machine() not in {"x86_64", "AMD64"}, reason="names an x86 processor")
def test_a_processor_without_wide_vectors_reconstructs_the_same(tmp_path):
    program = """
from ctdenoise.simulation import vectors
vectors._PAIR_PRODUCTS = ()
from tests.unit.simulation.test_noise_image import *
test_noise_is_reconstructed_to_a_thousandth_of_its_strength(RampKernelSettings())
"""
    old = {"NUMBA_CPU_NAME": "nehalem", "NUMBA_CPU_FEATURES": "", "NUMBA_CACHE_DIR": str(tmp_path)}
    root = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-c", program],
        check=False,
        cwd=root,
        env={**os.environ, **old, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
