"""Photons and attenuation from the tube's settings."""

from __future__ import annotations

import pytest

from ctdenoise.config.scanner import ScannerSettings
from ctdenoise.core.acquisition import Acquisition
from ctdenoise.simulation.beam import mu_water_per_mm, photons_of_exposure
from ctdenoise.simulation.scanner import fan_of


def photons(mas: float = 200.0, **scanner) -> float:
    fan = fan_of(ScannerSettings(**scanner), Acquisition())
    return photons_of_exposure(mas, kvp=120.0, slice_thickness_mm=0.6, fan=fan)


def test_the_reference_scanner_has_the_published_photons():
    # 1.12e6 per mAs of a turn on a 0.6 mm row, over 1152 views.
    assert photons() == pytest.approx(1.12e6 * 200 / 1152)


def test_the_same_exposure_gives_a_detector_the_same_photons_however_it_is_divided():
    fine = photons(channels=1472, channel_pitch_mm=1.2858 / 2, views_per_turn=2304)
    assert 4 * fine == pytest.approx(photons())


def test_photons_follow_exposure_and_the_inverse_square_of_the_distance():
    assert photons(100.0) == pytest.approx(photons(200.0) / 2)
    far = photons(source_to_isocentre_mm=700.0, channel_pitch_mm=1.2858 * 595 / 700)
    assert far == pytest.approx(photons() * (595 / 700) ** 2)


def test_water_attenuates_less_at_a_higher_voltage():
    values = [mu_water_per_mm(kvp) for kvp in (80, 100, 120, 140)]
    assert values == sorted(values, reverse=True)
    assert mu_water_per_mm(None) == mu_water_per_mm(120)
