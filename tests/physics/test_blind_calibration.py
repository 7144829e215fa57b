"""The noise of a scan is found without being told its kernel, photons or tube current."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ctdenoise.config.dose import SimulateSettings
from ctdenoise.config.kernels import (
    GaussianKernelSettings,
    KernelSettings,
    MeasuredKernelSettings,
    TableKernelSettings,
)
from ctdenoise.config.scanner import ScannerSettings
from ctdenoise.core.acquisition import Acquisition
from ctdenoise.core.volume import CTVolume
from ctdenoise.errors import SimulationError
from ctdenoise.io.read import open_series
from ctdenoise.simulation.calibration import Calibration, calibrate, sample_indices
from ctdenoise.simulation.low_dose import simulate_low_dose
from tests.builders import water_disc

SCANNER = ScannerSettings(
    distances="setting", channels=368, channel_pitch_mm=1.8, views_per_turn=288, bowtie="none"
)
SMOOTH = GaussianKernelSettings(f50_per_mm=0.28)
BOOSTED = TableKernelSettings(
    frequency_per_mm=(0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.55),
    value=(1.0, 1.05, 1.15, 1.1, 0.7, 0.2, 0.0),
)
PHOTONS = 2e5


def phantom(slices: int = 16) -> CTVolume:
    """Water with pixels fine enough for the kernels above."""
    return water_disc(slices=slices, size=192, pixel_spacing_mm=0.9, radius_mm=80)


def scanned(kernel: KernelSettings, exposure: np.ndarray | None = None) -> CTVolume:
    """The phantom with the noise of a full-dose scan, which nobody is told about."""
    clean = phantom()
    if exposure is not None:
        stated = replace(clean.acquisition, exposure_mas=tuple(exposure.tolist()))
        clean = replace(clean, acquisition=stated)
    secret = SimulateSettings(
        scanner=SCANNER,
        kernel=kernel,
        photons=PHOTONS,
        source_noise="none",
        dose=1.0,
        exposure_along_z="header",
    )
    noisy = simulate_low_dose(clean, secret, np.random.default_rng(5)).low
    return replace(noisy, acquisition=replace(noisy.acquisition, exposure_mas=()))


def calibrated(scan: CTVolume, settings: SimulateSettings) -> Calibration:
    return calibrate(
        scan.select(sample_indices(scan.geometry)),
        settings,
        geometry=scan.geometry,
        acquisition=scan.acquisition,
    )


def power_spectrum(noise: np.ndarray) -> np.ndarray:
    """Radial spectrum of the middle of noise images up to the Nyquist frequency of the pixels."""
    side = 96
    first = (noise.shape[1] - side) // 2
    middle = noise[:, first : first + side, first : first + side]
    power = (np.abs(np.fft.fft2(middle)) ** 2).mean(axis=0)
    frequency = np.fft.fftfreq(side)
    ring = np.rint(np.hypot(frequency[:, None], frequency) * 24).astype(int)
    return np.array([power[ring == index].mean() for index in range(1, 12)])


@pytest.mark.parametrize("kernel", [SMOOTH, BOOSTED], ids=["smooth", "boosted"])
def test_noise_of_unknown_kernel_and_photons_is_foretold(kernel):
    scan = scanned(kernel)
    blind = SimulateSettings(scanner=SCANNER)
    told = blind.replaced(kernel=kernel, photons=PHOTONS)
    found = simulate_low_dose(scan, blind, np.random.default_rng(1))
    expected = simulate_low_dose(scan, told, np.random.default_rng(2)).low.hu - scan.hu
    predicted = found.low.hu - scan.hu
    assert found.exposure.calibrated_by == "noise"
    inside = scan.hu > -500
    assert np.std(predicted[inside]) == pytest.approx(np.std(expected[inside]), rel=0.03)
    # A ring holds some thousand modes; the patches that were measured, a few hundred.
    ratio = power_spectrum(predicted) / power_spectrum(expected)
    assert np.abs(np.log(ratio)).mean() < 0.1


def test_tube_current_that_no_header_tells_is_followed_along_z():
    exposure = np.linspace(0.5, 1.5, 16) * 100
    found = calibrated(scanned(SMOOTH, exposure), SimulateSettings(scanner=SCANNER))
    assert found.exposure_by == "noise"
    # Each pair of slices tells its photons to about ten per cent.
    np.testing.assert_allclose(found.relative_exposure, exposure / exposure.mean(), rtol=0.25)
    assert found.relative_exposure.mean() == pytest.approx(1)


def test_a_constant_tube_current_stays_constant():
    found = calibrated(scanned(SMOOTH), SimulateSettings(scanner=SCANNER))
    np.testing.assert_array_equal(found.relative_exposure, np.ones(16))


def test_a_kernel_that_has_to_be_measured_is_refused_without_noise():
    settings = SimulateSettings(scanner=SCANNER, kernel=MeasuredKernelSettings())
    with pytest.raises(SimulationError, match="kernel cannot be measured"):
        calibrated(phantom(), settings)


def test_without_noise_the_kernel_is_that_of_the_header():
    named = Acquisition(convolution_kernel="B70f", manufacturer="SIEMENS", kvp=120.0)
    found = calibrated(replace(phantom(), acquisition=named), SimulateSettings(scanner=SCANNER))
    assert found.kernel_by == "header"
    assert found.evidence is None
    assert "too little noise" in found.notes[0]


HEADS = ("5mm_UB", "1mm_UB", "1mm_YA")


def test_a_head_phantom_reconstructed_three_ways_is_told_apart(ctdata):
    """Inside one insert the noise is 2.2, 3.2 and 16.6 HU.

    The level of all soft tissue is that of three inserts, two of them nearer to the middle.
    """
    levels, heights = [], []
    for name in HEADS:
        with open_series(ctdata / "series" / f"philips_head_phantom_{name}") as reader:
            sample = reader.read(sample_indices(reader.geometry))
            found = calibrate(
                sample,
                SimulateSettings(),
                geometry=reader.geometry,
                acquisition=reader.acquisition,
            )
        assert found.full_noise_hu is not None
        levels.append(found.full_noise_hu)
        heights.append(found.kernel_f50_per_mm)
    # The inserts differ by a fifth, and small patches miss some of smooth noise.
    np.testing.assert_allclose(levels, [2.2, 3.2, 16.6], rtol=0.3)
    assert levels[0] < levels[1] < levels[2]
    assert max(heights[:2]) < 0.5 < heights[2]
