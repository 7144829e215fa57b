"""Counts of a real detector: their noise grows with the signal as the noise model assumes.

A tooth in a parallel beam (tomopy's example): 181 views of two rows of 640 elements, ten frames
without the object and ten without the beam. Readings are in units of the detector; what a quantum
reads is found from the frames without the object, the electronic noise from those without beam.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import numpy.typing as npt
import pytest

from ctdenoise.simulation.noise import native_noise

pytestmark = pytest.mark.ctdata

Array = npt.NDArray[np.float64]

FOURTH_DIFFERENCE = np.array([1.0, -4.0, 6.0, -4.0, 1.0])
"""Along the angle: what the tooth does from view to view goes, noise stays."""

BINS = 8


@dataclass(frozen=True)
class Detector:
    """Readings over the dark level, and what the frames without object or beam tell.

    Args:
        readings: Of the tooth, [view, row, element].
        white: Mean without the object, [row, element].
        per_quantum: Variance over mean of readings.
        electronic_noise: Standard deviation without the beam, quanta.
    """

    readings: Array
    white: Array
    per_quantum: float
    electronic_noise: float


def row_difference_variance(frames: Array) -> Array:
    """Variance of one row, from the difference of the two, which common fluctuations leave.

    Args:
        frames: Repeated frames, [frame, row, element]; returns [element].
    """
    difference = frames[:, 0] - frames[:, 1]
    return np.asarray(difference.var(axis=0, ddof=1) / 2)


def read_detector(ctdata: Path) -> Detector:
    with h5py.File(ctdata / "raw" / "tooth.h5") as file:
        readings, white, dark = (
            np.asarray(file[f"exchange/{name}"], dtype=np.float64)
            for name in ("data", "data_white", "data_dark")
        )
    level = dark.mean(axis=0)
    lit = white - level
    lit *= lit.mean() / lit.mean(axis=(1, 2), keepdims=True)  # the beam flickers
    per_quantum = row_difference_variance(lit).mean() / lit.mean()
    electronic = np.sqrt(row_difference_variance(dark).mean()) / per_quantum
    return Detector(readings - level, lit.mean(axis=0), float(per_quantum), float(electronic))


@pytest.fixture(scope="module")
def detector(ctdata: Path) -> Detector:
    return read_detector(ctdata)


def variance_line(detector: Detector) -> tuple[Array, Array, Array]:
    """Mean and variance in quanta of rays that read alike, and the relative error of the latter."""
    logs = np.log(detector.readings / detector.white)
    difference = logs[:, 0] - logs[:, 1]
    residual = np.apply_along_axis(np.convolve, 0, difference, FOURTH_DIFFERENCE, "valid")
    residual = residual.ravel() / np.sqrt(2 * (FOURTH_DIFFERENCE**2).sum())
    mean = detector.readings.mean(axis=1)[2:-2].ravel() / detector.per_quantum
    order = np.array_split(np.argsort(mean), BINS)
    means = np.array([mean[part].mean() for part in order])
    # Edges of the tooth that a fourth difference leaves are few: the median passes over them.
    deviations = np.array([1.4826 * np.median(np.abs(residual[part])) for part in order])
    # A variance from the median has 2.7 times the variance of a plain one, sqrt(2 / n); fourth
    # differences of neighbouring views share noise: a third of them are independent.
    errors = np.array([np.sqrt(2 * 2.7 * 3 / len(part)) for part in order])
    return means, deviations**2 * means**2, errors


def test_measured_variance_follows_the_line_of_the_noise_model(detector):
    model = native_noise(1.0, electronic_noise=detector.electronic_noise, floor=1.0)
    means, variances, errors = variance_line(detector)
    assert means[-1] / means[0] > 4
    assert errors.max() < 0.04
    expected = model.linear * means + model.constant
    assert (np.abs(variances / expected - 1) < 4 * errors).all()
    # Over all bins: the gain was measured on other frames, 640 elements of ten each.
    own_error = np.sqrt(2 / (9 * 640))
    pooled = np.average(variances / expected, weights=errors**-2)
    assert pooled == pytest.approx(1, abs=4 * np.hypot(errors.mean() / np.sqrt(BINS), own_error))


def test_measured_variance_goes_with_the_first_power_of_the_signal(detector):
    means, variances, errors = variance_line(detector)
    x = np.log(means) - np.log(means).mean()
    power = (x * np.log(variances)).sum() / (x**2).sum()
    error = errors.mean() / np.sqrt((x**2).sum())
    assert error < 0.03
    assert power == pytest.approx(1, abs=4 * error)


def test_electronic_noise_of_the_detector_is_of_the_assumed_size(detector):
    assert 3 < detector.electronic_noise < 15  # quanta; 5.5 is the default
