"""Photons found from the noise of an image."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pytest

from ctdenoise.config.dose import SimulateSettings
from ctdenoise.config.kernels import GaussianKernelSettings
from ctdenoise.config.scanner import ScannerSettings
from ctdenoise.core.volume import CTVolume
from ctdenoise.simulation.low_dose import simulate_low_dose
from tests.builders import water_disc

PHOTONS = 3e5
SCANNER = ScannerSettings(
    distances="setting", channels=256, channel_pitch_mm=1.8, views_per_turn=256, bowtie="none"
)
SETTINGS = SimulateSettings(scanner=SCANNER, kernel=GaussianKernelSettings(f50_per_mm=0.3))


@pytest.fixture(scope="module")
def phantom() -> CTVolume:
    return water_disc(slices=16, size=160, pixel_spacing_mm=1.25, radius_mm=90)


@pytest.fixture(scope="module")
def scan(phantom) -> CTVolume:
    native = SETTINGS.replaced(source_noise="none", dose=1.0, photons=PHOTONS)
    return simulate_low_dose(phantom, native, np.random.default_rng(1)).low


def test_photons_are_recovered_from_the_noise_of_a_scan(scan):
    exposure = simulate_low_dose(scan, SETTINGS, np.random.default_rng(2)).exposure
    assert exposure.calibrated_by == "noise"
    # The noise level is a mode of some thousand patches, good to about 3 %; photons are its
    # inverse square, found from two such levels.
    assert exposure.photons == pytest.approx(PHOTONS, rel=0.15)


@pytest.mark.parametrize("dose", [0.5, 0.25])
def test_the_measured_noise_grows_as_one_over_the_root_of_the_dose(scan, dose):
    settings = SETTINGS.replaced(dose=dose)
    exposure = simulate_low_dose(scan, settings, np.random.default_rng(2)).exposure
    assert exposure.full_noise_hu is not None
    assert exposure.low_noise_hu is not None
    ratio = exposure.low_noise_hu / exposure.full_noise_hu
    assert ratio == pytest.approx(dose**-0.5, rel=0.06)  # two levels of 3 % and the fit


def test_a_wrong_exposure_in_the_header_does_not_matter(scan):
    claimed = replace(scan, acquisition=replace(scan.acquisition, exposure_mas=(2.0,) * 16))
    exposure = simulate_low_dose(claimed, SETTINGS, np.random.default_rng(2)).exposure
    assert exposure.calibrated_by == "noise"
    assert exposure.photons == pytest.approx(PHOTONS, rel=0.15)


def test_a_phantom_is_calibrated_by_its_exposure(phantom):
    known = replace(
        phantom, acquisition=replace(phantom.acquisition, kvp=120.0, exposure_mas=(100.0,) * 16)
    )
    exposure = simulate_low_dose(known, SETTINGS, np.random.default_rng(2)).exposure
    assert exposure.calibrated_by == "exposure"
    # 1.12e6 photons per mAs and 0.6 mm row at 120 kV, in 256 views, for slices of 3 mm
    # 1.12e6 per mAs on a 0.6 mm row; these channels are wider than those of the table.
    assert exposure.photons == pytest.approx(1.12e6 * 100 / 256 * 5 * 1.8 / 1.2858)


def test_without_any_evidence_the_reference_exposure_is_used(phantom):
    exposure = simulate_low_dose(
        phantom, SETTINGS.replaced(reference_mas=50.0), np.random.default_rng(2)
    ).exposure
    assert exposure.calibrated_by == "setting"
    assert exposure.photons == pytest.approx(1.12e6 * 50 / 256 * 5 * 1.8 / 1.2858)


def test_noise_that_no_photons_explain_falls_back_with_a_warning(phantom, caplog):
    white = phantom.hu + np.random.default_rng(3).normal(0, 900, phantom.shape).astype(np.float32)
    with caplog.at_level(logging.WARNING):
        pair = simulate_low_dose(replace(phantom, hu=white), SETTINGS, np.random.default_rng(2))
    assert pair.exposure.calibrated_by != "noise"
