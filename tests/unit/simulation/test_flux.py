"""Which bowtie and tube current a scan had, and what they leave of the photons."""

from __future__ import annotations

import numpy as np
import pytest

from ctdenoise.config.dose import SimulateSettings
from ctdenoise.config.scanner import ScannerSettings
from ctdenoise.core.acquisition import Acquisition
from ctdenoise.core.geometry import Geometry
from ctdenoise.simulation.flux import (
    LOWEST_CURRENT,
    add_flux_loss,
    aluminium_per_cm,
    bowtie_loss,
    bowtie_of,
    current_loss,
    modulation_of,
)
from ctdenoise.simulation.scanner import fan_of

WATER = 0.0192


def geometry(field_mm: float) -> Geometry:
    return Geometry.axial((1, 100, 100), pixel_spacing_mm=field_mm / 100, slice_spacing_mm=1.0)


def bowtie(part: str | None = None, field_mm: float = 400, **settings: object) -> str:
    return bowtie_of(
        SimulateSettings.model_validate(settings),
        Acquisition(body_part_examined=part),
        geometry(field_mm),
    )


@pytest.mark.parametrize(
    ("part", "field_mm", "expected"),
    [
        ("HEAD", 400, "head"),
        ("Brain", 220, "head"),
        ("CHEST", 220, "body"),
        ("HEART", 180, "body"),
        ("HEADNECK", 250, "body"),
        (None, 220, "head"),
        (None, 360, "body"),
    ],
)
def test_the_bowtie_follows_the_part_of_the_body_and_else_the_field(part, field_mm, expected):
    assert bowtie(part, field_mm) == expected


@pytest.mark.parametrize(
    ("filter_type", "expected"),
    [("HEAD FILTER", "head"), ("LARGE BOWTIE FIL", "body"), ("0", "body"), (None, "body")],
)
def test_the_header_s_filter_is_believed_first(filter_type, expected):
    acquisition = Acquisition(body_part_examined="CHEST", filter_type=filter_type)
    assert bowtie_of(SimulateSettings(), acquisition, geometry(400)) == expected


def test_a_phantom_has_no_bowtie_unless_it_is_asked_for():
    assert bowtie("CHEST", source_noise="none") == "none"
    asked = ScannerSettings(bowtie="head")
    assert bowtie("CHEST", source_noise="none", scanner=asked) == "head"


@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        ("XYZ_EC", 0.5),
        ("ANGULAR", 0.5),
        ("Z_EC/ANGULAR", 0.5),
        ("Z_EC", 0.0),
        ("Z MODULATION", 0.0),
        ("NONE", 0.0),
        ("", 0.0),
        (None, 0.0),
    ],
)
def test_the_current_is_modulated_where_the_header_says_so(stated, expected):
    acquisition = Acquisition(exposure_modulation_type=stated)
    assert modulation_of(SimulateSettings(), acquisition) == expected
    fixed = SimulateSettings(scanner=ScannerSettings(angular_modulation=0.25))
    assert modulation_of(fixed, acquisition) == 0.25


def test_aluminium_attenuates_as_at_the_energy_that_water_tells():
    # NIST: 60 keV and 80 keV.
    assert aluminium_per_cm(0.02059) == pytest.approx(0.7498)
    assert aluminium_per_cm(0.01837) == pytest.approx(0.5447)
    assert 0.5447 < aluminium_per_cm(0.0192) < 0.7498


@pytest.mark.parametrize("shape", ["head", "body"])
def test_a_bowtie_thins_the_beam_towards_both_edges(shape):
    distance = np.linspace(-300, 300, 601)
    loss = bowtie_loss(shape, distance, WATER)
    assert loss[300] == 0
    np.testing.assert_allclose(loss, loss[::-1])
    assert (np.diff(loss[300:]) >= 0).all()
    # At the edge of the field, 3.4 cm of aluminium more than in the centre.
    assert loss[550] == pytest.approx(3.4 * aluminium_per_cm(WATER), rel=0.03)


def test_the_head_bowtie_is_the_narrower_one():
    at = np.array([60.0])
    assert bowtie_loss("head", at, WATER) > 2 * bowtie_loss("body", at, WATER)


def test_a_bowtie_is_as_wide_in_mm_in_every_scanner():
    near = fan_of(ScannerSettings(distances="setting", source_to_isocentre_mm=541.0), Acquisition())
    # 2.7079 cm of aluminium at 0.28 rad of the scanner of the table, 0.2548 in its centre.
    loss = bowtie_loss("body", np.array([near.distance_mm * np.sin(0.28)]), WATER)
    assert loss[0] == pytest.approx((2.6794 - 0.2548) * aluminium_per_cm(WATER), rel=1e-6)


def test_the_mean_current_of_a_turn_stays_and_follows_the_attenuation():
    attenuation = np.array([[2.0, 0.0], [3.0, 0.0], [4.0, 0.0]])
    current = np.exp(-current_loss(attenuation, 0.5))
    np.testing.assert_allclose(current.mean(axis=0), 1, rtol=1e-6)
    np.testing.assert_allclose(current[1:, 0] / current[:-1, 0], np.exp(0.5), rtol=1e-6)
    np.testing.assert_array_equal(current[:, 1], 1)


def test_the_current_has_a_range():
    attenuation = np.array([[2.0], [20.0]])
    current = np.exp(-current_loss(attenuation, 1.0))
    assert current[0] / current[1] == pytest.approx(LOWEST_CURRENT, rel=1e-5)


def test_the_flux_of_a_lane_does_not_depend_on_its_neighbours():
    fan = fan_of(ScannerSettings(), Acquisition()).coarse(views=16, channels=33)
    lanes = np.random.default_rng(0).random((16, 33, 32)).astype(np.float32)
    alone = lanes[..., 16:].copy()
    options = {"bowtie": "body", "modulation": 0.5, "mu_water_per_mm": WATER}
    add_flux_loss(lanes, fan, **options)
    add_flux_loss(alone, fan, **options)
    np.testing.assert_array_equal(lanes[..., 16:], alone)
