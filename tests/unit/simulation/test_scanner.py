"""The fan beam and the isocentre that a scan is simulated with."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pytest

from ctdenoise.config.dose import SimulateSettings
from ctdenoise.config.scanner import ScannerSettings
from ctdenoise.core.acquisition import Acquisition
from ctdenoise.core.geometry import Geometry
from ctdenoise.simulation.low_dose import simulate_low_dose
from ctdenoise.simulation.model import ScanModel
from ctdenoise.simulation.scanner import LARGEST_HALF_FAN_RADIANS, fan_of
from tests.builders import water_disc


def model(offset_mm: tuple[float, float] | None, field_mm: float, **settings: object) -> ScanModel:
    geometry = Geometry.axial((2, 100, 100), pixel_spacing_mm=field_mm / 100, slice_spacing_mm=1.0)
    acquisition = Acquisition(reconstruction_centre_offset_mm=offset_mm)
    return ScanModel.of(geometry, acquisition, SimulateSettings.model_validate(settings))


@pytest.mark.parametrize(
    ("offset_mm", "field_mm", "is_believed"),
    [
        ((0.0, 0.0), 500.0, True),
        ((1.0, -20.0), 500.0, True),  # a scan field of 500 mm and a little more
        ((0.0, -187.5), 500.0, False),  # (0, 0, 0) where the table is at 187.5 mm
        ((60.0, 50.0), 200.0, True),  # a heart
        ((120.0, 0.0), 180.0, True),  # a shoulder
        ((200.0, 200.0), 200.0, False),
    ],
)
def test_an_isocentre_is_believed_if_the_scanner_could_see_the_image(
    offset_mm, field_mm, is_believed
):
    expected = offset_mm if is_believed else (0.0, 0.0)
    offset = model(offset_mm, field_mm).grid.isocentre_offset_mm
    assert offset == pytest.approx(expected, abs=1e-9)


def test_the_centre_of_the_image_can_be_asked_for():
    centred = model((10.0, 5.0), 300.0, centre="image")
    assert centred.grid.isocentre_offset_mm == pytest.approx((0.0, 0.0), abs=1e-9)
    assert model(None, 300.0).grid.isocentre_offset_mm == pytest.approx((0.0, 0.0), abs=1e-9)


def simulated(offset_mm: tuple[float, float], caplog, **settings: object):
    volume = water_disc(slices=1, size=48, pixel_spacing_mm=6.0, radius_mm=60)
    acquisition = replace(volume.acquisition, reconstruction_centre_offset_mm=offset_mm)
    scanner = ScannerSettings(channels=97, channel_pitch_mm=8.0, views_per_turn=96)
    chosen = SimulateSettings.model_validate({"scanner": scanner, "photons": 1e5, **settings})
    with caplog.at_level(logging.WARNING):
        return simulate_low_dose(
            replace(volume, acquisition=acquisition), chosen, np.random.default_rng(0)
        )


def test_an_isocentre_that_is_not_believed_is_told(caplog):
    pair = simulated((0.0, 900.0), caplog)
    assert "900 mm from the centre" in caplog.text
    assert pair.low.history[-1].params["isocentre_offset_mm"] == pytest.approx([0.0, 0.0])


def test_an_isocentre_that_is_believed_is_recorded(caplog):
    pair = simulated((3.0, -4.0), caplog)
    recorded = pair.low.history[-1].params
    assert recorded["isocentre_offset_mm"] == pytest.approx([3.0, -4.0])
    assert {"channel_angle", "bowtie", "angular_modulation", "kernel"} <= recorded.keys()
    assert not caplog.text
    simulated((0.0, 900.0), caplog, centre="image")
    assert not caplog.text


def test_a_fan_too_wide_to_reconstruct_keeps_its_angles_and_loses_channels():
    wide = ScannerSettings(channels=1001, channel_pitch_mm=1.5)
    fan = fan_of(wide, Acquisition())
    assert fan.channel_angle == pytest.approx(1.5 / 1085.6)
    assert fan.channels % 2 == 1
    assert LARGEST_HALF_FAN_RADIANS - fan.channel_angle < fan.fan_angles[-1]
    assert fan.fan_angles[-1] <= LARGEST_HALF_FAN_RADIANS


def test_a_fan_too_wide_to_reconstruct_is_told(caplog):
    wide = ScannerSettings(channels=161, channel_pitch_mm=8.0, views_per_turn=96)
    simulated((0.0, 0.0), caplog, scanner=wide)
    assert "wider than the simulator" in caplog.text


@pytest.mark.parametrize(
    ("source_mm", "detector_mm", "is_believed"),
    [
        (541.0, 949.0, True),
        (570.0, 1040.0, True),
        (630.0, 1099.3, True),
        (54.1, 94.9, False),  # cm
        (0.0, 0.0, False),
        (541.0, 500.0, False),
        (541.0, None, False),
    ],
)
def test_distances_of_the_header_are_believed_if_they_are_a_scanner_s(
    source_mm, detector_mm, is_believed
):
    acquisition = Acquisition(
        distance_source_to_patient_mm=source_mm, distance_source_to_detector_mm=detector_mm
    )
    fan = fan_of(ScannerSettings(), acquisition)
    assert fan.distance_mm == (source_mm if is_believed else 595.0)
