"""Classical filters are methods like any network: measured, controlled, recorded, safe."""

from __future__ import annotations

import importlib.util
from dataclasses import replace

import numpy as np
import pytest

from ctdenoise.config.classical import FILTERS, FilterSettings
from ctdenoise.config.inference import InferSettings
from ctdenoise.core.body import body_mask
from ctdenoise.errors import MissingExtraError, UsageError
from ctdenoise.inference.load import load_denoiser
from ctdenoise.inference.method import Block, Sample
from ctdenoise.io.dicom_derivation import derivation_of
from tests.grainy import patient

HAS_BM3D = importlib.util.find_spec("bm3d") is not None
OWN = tuple(name for name in FILTERS if name != "bm3d")
USABLE = FILTERS if HAS_BM3D else OWN
LEAST_GAIN = {"gaussian": 0.5, "bilateral": 1.5, "tv": 1.4, "nlm": 1.7, "vst": 1.7, "bm3d": 1.7}
"""RMSE of the scan over that of the result, at least. A Gaussian blurs edges: it is worse."""


@pytest.fixture(scope="module")
def pair():
    return patient()


@pytest.fixture(scope="module", params=USABLE)
def result(request, pair):
    return request.param, load_denoiser(request.param)(pair[1])


def root_mean_square(values):
    return float(np.sqrt(np.square(values, dtype=np.float64).mean()))


def params(volume):
    return volume.history[-1].params


def test_noise_goes_and_the_mean_stays(result, pair):
    name, denoised = result
    truth, low = pair
    body = body_mask(truth.hu)
    before = (low.hu - truth.hu)[body]
    after = (denoised.hu - truth.hu)[body]
    assert root_mean_square(after) * LEAST_GAIN[name] < root_mean_square(before)
    assert abs((denoised.hu - low.hu).mean(dtype=np.float64)) < 1.0


def test_the_organ_keeps_its_value(result, pair):
    _, denoised = result
    truth, low = pair
    organ = np.abs(truth.hu - 40) < 1
    assert denoised.hu[organ].mean() == pytest.approx(low.hu[organ].mean(), abs=1.0)


def test_the_noise_and_the_settings_are_in_the_history(result):
    name, denoised = result
    told = params(denoised)
    assert told["model"] == name
    assert told["noise_level_hu"] == pytest.approx(20.0, rel=0.15)
    assert told["noise_correlation"][0] == pytest.approx(0.35, abs=0.15)
    assert told["filter"] == FilterSettings().of(name)


def test_no_filter_is_called_deep_learning(result):
    name, denoised = result
    infer = InferSettings()
    local = infer.dicom.replaced(derivation_code="local")
    for settings in (infer.dicom, local):
        derivation = derivation_of(denoised.history, settings)
        assert derivation.code is not None
        expected = "Gaussian blur" if name == "gaussian" else "Smoothing"
        assert derivation.code.meaning == expected
        assert name in derivation.description


def test_strength_0_is_the_scan_bit_for_bit_and_half_is_half(pair, result):
    name, whole = result
    low = pair[1]
    still = load_denoiser(name, InferSettings(strength=0.0))(low)
    assert still.hu.tobytes() == low.hu.tobytes()
    half = load_denoiser(name, InferSettings(strength=0.5))(low)
    assert half.hu == pytest.approx((low.hu + whole.hu) / 2, abs=1e-3)


@pytest.mark.parametrize("name", OWN)
def test_a_slice_is_the_same_whichever_are_beside_it(name, pair):
    """A volume in blocks of one slice: what a study larger than memory goes through."""
    low = pair[1]
    denoiser = load_denoiser(name)
    whole = denoiser(low)
    denoising = denoiser.settle(Sample.of(low), low)
    one = denoising.denoise(Block(low.select(slice(1, 2)), 1, slice(0, 1)))
    assert one.volume.hu.tobytes() == whole.hu[1:2].tobytes()


@pytest.mark.parametrize("name", OWN)
def test_padding_metal_and_air_are_safe(name, pair):
    low = pair[1]
    hu = low.hu.copy()
    padding = np.zeros(hu.shape, np.bool_)
    padding[:, :4] = True
    hu[padding] = -3024.0
    hu[:, 80:82, 80:82] = 9000.0
    study = replace(low, hu=hu, padding=padding)
    found = load_denoiser(name)(study)
    assert np.isfinite(found.hu).all()
    assert (found.hu[padding] == -3024.0).all()
    assert found.hu[:, 5:8].max() < -700  # the padding value did not leak, nor did metal
    if name != "gaussian":
        assert found.hu[:, 80:82, 80:82].min() > 8500


@pytest.mark.parametrize("name", OWN)
def test_without_noise_nothing_is_taken(name, pair):
    """But by a Gaussian of a stated width, which asks for none."""
    truth = pair[0]
    found = load_denoiser(name, InferSettings(noise_level=0.01))(truth)
    if name != "gaussian":
        assert np.abs(found.hu - truth.hu).max() < 0.5


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("nlm", {"nlm": {"tolerance": 2.0}}),
        ("tv", {"tv": {"removed": 0.6}}),
        ("gaussian", {"gaussian": {"left": 0.3}}),
        ("bilateral", {"bilateral": {"tolerance": 3.0}}),
        ("vst", {"vst": {"by": "value"}}),
        ("vst", {"nlm": {"tolerance": 2.0}}),
    ],
    ids=["nlm", "tv", "gaussian", "bilateral", "vst", "vst-inner"],
)
def test_the_digest_changes_with_what_decides_the_output(name, change):
    usual = load_denoiser(name)
    other = load_denoiser(name, InferSettings(filters=change))
    assert len(usual.digest) == 12
    assert usual.digest != other.digest
    apart = InferSettings(filters={"bm3d": {"factor": 2.0}})
    assert load_denoiser(name, apart).digest == usual.digest


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("nlm", {"nlm": {"tolerance": 3.0}}),
        ("tv", {"tv": {"removed": 0.8}}),
        ("gaussian", {"gaussian": {"width_mm": 4.0}}),
        ("bilateral", {"bilateral": {"tolerance": 4.0}}),
    ],
    ids=["nlm", "tv", "gaussian", "bilateral"],
)
def test_each_has_a_setting_that_takes_more(name, more, pair):
    low = pair[1].select(slice(0, 1))
    usual = load_denoiser(name)(low).hu - low.hu
    stronger = load_denoiser(name, InferSettings(filters=more))(low).hu - low.hu
    assert root_mean_square(stronger) > 1.05 * root_mean_square(usual)


def test_a_stated_noise_takes_the_place_of_the_measured_one(pair):
    low = pair[1].select(slice(0, 1))
    found = load_denoiser("nlm", InferSettings(noise_level=5.0))(low)
    assert params(found)["noise_level_hu"] == 5.0
    usual = load_denoiser("nlm")(low)
    assert root_mean_square(found.hu - low.hu) < 0.7 * root_mean_square(usual.hu - low.hu)


def test_by_value_the_fitted_line_is_in_the_history(pair):
    low = pair[1].select(slice(0, 1))
    found = load_denoiser("vst", InferSettings(filters={"vst": {"by": "value"}}))(low)
    assert {"variance_gain", "variance_offset"} <= set(params(found))
    assert abs(float((found.hu - low.hu).mean())) < 1.0


def test_they_compute_on_the_processor_alone():
    with pytest.raises(UsageError, match="processor"):
        load_denoiser("tv", InferSettings(device="cuda"))


@pytest.mark.skipif(HAS_BM3D, reason="bm3d is installed")
@pytest.mark.parametrize("name", ["bm3d", "vst"])
def test_bm3d_without_its_package_says_what_to_install_and_that_it_is_not_free(name):
    settings = InferSettings(filters={"vst": {"inner": "bm3d"}})
    with pytest.raises(MissingExtraError, match="non-commercial"):
        load_denoiser(name, settings)
