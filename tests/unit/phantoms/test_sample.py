"""Phantoms to train on."""

from __future__ import annotations

import collections

import numpy as np
import pytest
from pydantic import ValidationError

from ctdenoise.config.dose import SimulateSettings
from ctdenoise.config.phantom import PhantomSettings
from ctdenoise.config.sampling import MixtureSettings, SampleSettings
from ctdenoise.phantoms.build import build_phantom
from ctdenoise.phantoms.sample import draw_sample, sample_phantom

MANY = [draw_sample(SampleSettings(), seed) for seed in range(1000)]


@pytest.mark.parametrize(
    ("kind", "share"),
    [("torso", 0.4), ("dead_leaves", 0.3), ("test_object", 0.2), ("vessels", 0.1)],
)
def test_kinds_are_drawn_as_often_as_asked_for(kind, share):
    counts = collections.Counter(sample.drawn["kind"] for sample in MANY)
    error = np.sqrt(share * (1 - share) / len(MANY))
    assert counts[kind] / len(MANY) == pytest.approx(share, abs=4 * error)


@pytest.mark.parametrize(
    "name",
    [
        "field_of_view_mm",
        "slice_thickness_mm",
        "diameter_mm",
        "f50_per_mm",
        "kernel_power",
        "system_f50_per_mm",
        "dose",
        "exposure_mas",
    ],
)
def test_values_fill_their_range(name):
    low, high = getattr(SampleSettings(), name)
    drawn = np.array([sample.drawn[name] for sample in MANY])
    assert low <= drawn.min() < low * (high / low) ** 0.1
    assert low * (high / low) ** 0.9 < drawn.max() <= high


def test_seven_of_ten_that_can_have_a_texture_have_one():
    can = [sample for sample in MANY if sample.drawn["phantom"] not in ("rods", "water")]
    share = np.mean([sample.drawn["texture_sd_hu"] > 0 for sample in can])
    assert share == pytest.approx(0.7, abs=4 * np.sqrt(0.21 / len(can)))


def test_a_kernel_is_one_half_at_its_frequency_unless_it_enhances():
    for sample in MANY[:50]:
        drawn, kernel = sample.drawn, sample.simulate.kernel
        at_f50 = np.interp(drawn["f50_per_mm"], kernel.frequency_per_mm, kernel.value)
        assert at_f50 == pytest.approx(0.5 * (1 + drawn["enhancement"]), rel=0.01)
        assert kernel.value[0] == 1.0


def test_four_of_ten_kernels_enhance():
    share = np.mean([sample.drawn["enhancement"] > 0 for sample in MANY])
    assert share == pytest.approx(0.4, abs=4 * np.sqrt(0.24 / len(MANY)))


def test_slices_are_as_sharp_as_kernel_and_system_together():
    for sample in MANY[:50]:
        noise, image = sample.simulate.kernel, sample.phantom.sharpness
        system = np.exp2(
            -((np.array(noise.frequency_per_mm) / sample.drawn["system_f50_per_mm"]) ** 2)
        )
        assert image.frequency_per_mm == noise.frequency_per_mm
        np.testing.assert_allclose(image.value, noise.value * system, atol=2e-5)


def test_slices_as_sharp_as_their_voxels_can_be_asked_for():
    settings = SampleSettings(sharpness="voxels")
    assert draw_sample(settings, 4).phantom.sharpness is None


def test_the_body_lies_in_the_field_of_view():
    assert all(s.drawn["diameter_mm"] < s.drawn["field_of_view_mm"] for s in MANY)


def test_settings_of_phantom_and_twin_are_the_values_drawn():
    for sample in MANY[:50]:
        assert PhantomSettings.model_validate(sample.phantom.as_json()) == sample.phantom
        assert SimulateSettings.model_validate(sample.simulate.as_json()) == sample.simulate
        assert sample.simulate.dose == sample.drawn["dose"]
        assert sample.phantom.kvp == sample.drawn["kvp"]


def test_another_range_changes_no_other_value():
    other = SampleSettings(slice_thickness_mm=(1.0, 2.0))
    for seed in range(20):
        first, second = MANY[seed].drawn, draw_sample(other, seed).drawn
        assert {k: v for k, v in first.items() if k != "slice_thickness_mm"} == {
            k: v for k, v in second.items() if k != "slice_thickness_mm"
        }


def test_slices_touch_unless_they_are_to_lie_apart():
    apart = SampleSettings(slices_apart_mm=3.0)
    for seed in range(20):
        touching, spaced = (draw_sample(each, seed) for each in (SampleSettings(), apart))
        thickness = spaced.drawn["slice_thickness_mm"]
        assert touching.drawn == spaced.drawn
        assert touching.phantom.grid.slice_spacing_mm == thickness
        assert spaced.phantom.grid.slice_spacing_mm == max(thickness, 3.0)
        assert spaced.phantom.grid.slice_thickness_mm == thickness


def test_a_sample_is_the_phantom_of_its_settings():
    settings = SampleSettings(size=32, slices=2)
    made = sample_phantom(settings, 4)
    again = build_phantom(draw_sample(settings, 4).phantom)
    np.testing.assert_array_equal(made.volume.hu, again.volume.hu)
    np.testing.assert_array_equal(made.labels, again.labels)


@pytest.mark.parametrize("seed", range(12))
def test_every_kind_can_be_drawn_on_a_small_grid(seed):
    made = sample_phantom(SampleSettings(size=32, slices=2), seed)
    assert np.isfinite(made.volume.hu).all()
    assert (made.labels > 0).mean() > 0.05


@pytest.mark.parametrize(
    "changes",
    [
        {"dose": (0.5, 0.1)},
        {"diameter_mm": (100.0, 600.0)},
        {"kvp": ()},
        {"mixture": {"torso": 0, "dead_leaves": 0, "test_object": 0, "vessels": 0}},
    ],
    ids=["range", "body", "kvp", "mixture"],
)
def test_what_cannot_be_drawn_is_refused(changes):
    with pytest.raises(ValidationError):
        SampleSettings.model_validate(changes)


def test_one_kind_alone_may_be_asked_for():
    mixture = MixtureSettings(torso=0, dead_leaves=1, test_object=0, vessels=0)
    kinds = {draw_sample(SampleSettings(mixture=mixture), seed).drawn["kind"] for seed in range(9)}
    assert kinds == {"dead_leaves"}
