"""Twins of full-dose images against quarter-dose scans of a scanner that the simulator never saw.

A small version of ``tests/perf/study_native.py``: 256 pixels across, few views, two kernels.
"""

from __future__ import annotations

import numpy as np
import pytest

from tests.perf.native_scanner import MEDIUM, SMOOTH, Case, NativeScanner, scanned, torso
from tests.perf.study_native import OF_ROWS, blind, block_sd, places, siemens

# A third of the usual views, so each reading holds the photons and electronic noise of three.
SCANNER = NativeScanner(channel_mm=0.9, channels=500, views=384, electronic_quanta=9.5)


@pytest.mark.parametrize(
    ("kernel", "name"), [(SMOOTH, "B30f"), (MEDIUM, "B40f")], ids=["smooth", "medium"]
)
def test_twins_have_the_local_noise_of_scans_by_an_unknown_scanner(kernel, name):
    """Of the simulator's answer 10 % is asked; each block of 20 mm may stray by 15 %: its own noise
    is known to about 4 % in eight slices, and the bowtie of the scanner is not known at all."""
    case = Case(
        name,
        torso(-110.0, 150.0, 340.0, 256),
        kernel,
        2e5,
        2.0,
        2.0,
        siemens(name, 2.0),
        scanner=SCANNER,
        slices=8,
    )
    full, low, spacing_mm = scanned(case)
    plan, twin = blind(case, full, spacing_mm, OF_ROWS)
    assert plan.calibration.calibrated_by == "noise"
    native, added = low - full, twin - full
    body = places(full, spacing_mm)["body"]
    ratio = block_sd(added, body, spacing_mm) / block_sd(native, body, spacing_mm)

    assert np.median(ratio) == pytest.approx(1, abs=0.1)
    low_end, high_end = np.percentile(ratio, [10, 90])
    assert low_end > 0.85
    assert high_end < 1.15
    bias = (added - native)[:, body].mean()
    assert abs(bias) < 0.05 * native[:, body].std()
